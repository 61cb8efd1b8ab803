"""The normal approximation at an optimum: covariance, and the directions that data leave open."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from unrolljax.bilevel.calibration import Calibration

INVOLVED = 0.01
"""Weight in an undetermined direction from which on a parameter counts as undetermined."""


class Laplace(NamedTuple):
    """Curvature of a cost at v, and what it says about the parameters.

    - `covariance`: `s^2 (kappa J^T J + P)^-1` over the free directions; J is the Jacobian of the
      residuals, P the precision of the priors, kappa the mean of `d psi / d r` and `psi = r rho'`
      (1 without a robust loss). The variance s^2 is `sum psi^2 / (kappa freedom)`, which is the
      residual variance, or Huber's estimate under a robust loss (Robust Statistics, 1981, 7.6); it
      is 1 where the noise is known. The diagonal is infinite for undetermined parameters; their
      other entries, and all of a parameter on its bound, are NaN.
    - `singular_values`: of the root of that curvature, columns of unit norm; falling; a parameter
      on its bound contributes a zero.
    - `open_directions`: projector on the scaled directions that the data do not determine.
    """

    covariance: Float[Array, "n n"]
    singular_values: Float[Array, " n"]
    open_directions: Float[Array, "n n"]
    undetermined: Bool[Array, " n"]
    on_bound: Bool[Array, " n"]
    variance: Float[Array, ""]
    freedom: Float[Array, ""]


def laplace(problem: Calibration, v: Float[Array, " n"], threshold: Array) -> Laplace:
    """Linearise at v; directions below `threshold` times the largest singular value are open."""
    rows, jacobian = problem.jacobian(v)
    rho, z = problem.weigh(rows)
    pull = rows * rho.slope
    on_bound = problem.box.binding(v, jacobian.T @ pull)
    data = rows.size - (0 if problem.prior is None else v.size)
    kappa = jnp.mean((rho.slope + 2 * z * rho.curvature)[:data])
    root = jnp.where(jnp.arange(rows.size) < data, jnp.sqrt(kappa), 1)
    weighted = root[:, None] * jacobian
    norms = jnp.linalg.norm(weighted, axis=0)
    norms = jnp.where(norms > 0, norms, 1)
    triangle = jnp.linalg.qr(jnp.where(on_bound[None], 0, weighted / norms[None]), mode="r")
    _, values, directions = jnp.linalg.svd(triangle)
    closed = values > threshold * values[0]
    freedom = (data - jnp.sum(closed)).astype(v.dtype)
    variance = pull[:data] @ pull[:data] / (kappa * freedom)
    variance = jnp.ones_like(variance) if problem.noise_is_known else variance
    inverse = _gram(directions, jnp.where(closed, 1 / jnp.where(closed, values, 1), 0))
    open_directions = _gram(directions, jnp.where(closed, 0.0, 1.0).astype(v.dtype))
    # A parameter on its bound is fixed by the bound: that its column was put to zero says nothing.
    open_directions = jnp.where(on_bound[None] | on_bound[:, None], 0, open_directions)
    undetermined = jnp.sqrt(jnp.diagonal(open_directions)) >= INVOLVED
    covariance = variance * inverse / jnp.outer(norms, norms)
    covariance = _mark(covariance, undetermined, on_bound)
    return Laplace(covariance, values, open_directions, undetermined, on_bound, variance, freedom)


def default_threshold(dtype: jnp.dtype) -> Array:
    """The square root of the rounding unit: what a Jacobian of this dtype can tell from zero."""
    return jnp.sqrt(jnp.asarray(jnp.finfo(dtype).eps, dtype))


def quantile(freedom: Float[Array, ""], noise_is_known: bool) -> Float[Array, ""]:
    """Half the width of a 95 % interval in standard deviations: Student's t, or the normal one.

    Bisection on the distribution function; NaN without a degree of freedom.
    """
    if noise_is_known:
        return jax.scipy.special.ndtri(jnp.full_like(freedom, 0.975))

    def outside(t):
        ratio = freedom / (freedom + t * t)
        return jax.scipy.special.betainc(freedom / 2, jnp.full_like(freedom, 0.5), ratio)

    def halve(_, ends):
        low, high = ends
        middle = jnp.sqrt(low * high)
        too_low = outside(middle) > 0.05
        return jnp.where(too_low, middle, low), jnp.where(too_low, high, middle)

    ends = (jnp.ones_like(freedom), jnp.full_like(freedom, 100.0))
    low, high = jax.lax.fori_loop(0, 60, halve, ends)
    return jnp.where(freedom > 0, jnp.sqrt(low * high), jnp.nan)


def _gram(rows: Float[Array, "n n"], weights: Float[Array, " n"]) -> Float[Array, "n n"]:
    weighted = weights[:, None] * rows
    return weighted.T @ weighted


def _mark(covariance: Array, undetermined: Array, on_bound: Array) -> Array:
    without = undetermined | on_bound
    covariance = jnp.where(without[None] | without[:, None], jnp.nan, covariance)
    diagonal = jnp.where(undetermined, jnp.inf, jnp.diagonal(covariance))
    return jnp.fill_diagonal(covariance, diagonal, inplace=False)
