"""What a calibration minimises: residuals under a loss, with priors, within bounds."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.tree_util import tree_map
from jaxtyping import Array, Float, PyTree

from unrolljax.bilevel.bounds import Box
from unrolljax.bilevel.loss import Linear, Loss, Rho
from unrolljax.solvers.real_vector import to_vector

LEAST_SHARE = 1e-3
"""Curvature that a doubted residual keeps, over its weight: positive, and kind to rounding."""


class Prior(NamedTuple):
    """Independent normal priors; an infinite deviation is no prior."""

    mean: Float[Array, " n"]
    deviation: Float[Array, " n"]


class Linearisation(NamedTuple):
    """The cost near v is `|triangle s + rotated|^2 / 2` and a constant: the QR of a Jacobian.

    `rows` are the residuals and prior rows at v, `project @ change` what a change of theirs adds
    to `rotated`.
    """

    cost: Float[Array, ""]
    triangle: Float[Array, "n n"]
    rotated: Float[Array, " n"]
    rows: Float[Array, " rows"]
    project: Float[Array, "n rows"]


class Calibration(eqx.Module):
    """Minimise `sum C^2 rho((r_i / C)^2) / 2 + sum ((v_j - mean_j) / deviation_j)^2 / 2` in a box.

    r are the entries of the pytree `residuals(theta, *args)`, v those of theta, as real vectors;
    C is the scale of the loss. `theta0` gives theta its structure. `noise_is_known` says that the
    residuals are in units of their noise.
    """

    residuals: Callable[..., PyTree[Array]]
    theta0: PyTree[Array]
    args: tuple[Any, ...]
    box: Box
    prior: Prior | None
    loss: Loss
    noise_is_known: bool = eqx.field(static=True)

    def parameters(self, v: Float[Array, " n"]) -> PyTree[Array]:
        """The vector v in the structure of theta0."""
        return to_vector(self.theta0)[1](v)

    def data(self, v: Float[Array, " n"]) -> Float[Array, " m"]:
        """All residuals as one real vector, in the dtype of v."""
        return to_vector(self.residuals(self.parameters(v), *self.args))[0].astype(v.dtype)

    def rows(self, v: Float[Array, " n"]) -> Float[Array, " rows"]:
        """The residuals and, below them, how many deviations v lies from its prior means."""
        residuals = self.data(v)
        if self.prior is None:
            return residuals
        return jnp.concatenate([residuals, (v - self.prior.mean) / self.prior.deviation])

    def jacobian(
        self, v: Float[Array, " n"]
    ) -> tuple[Float[Array, " rows"], Float[Array, "rows n"]]:
        """The rows and their Jacobian, by forward mode."""

        def twice(v):
            rows = self.rows(v)
            return rows, rows

        slopes, rows = jax.jacfwd(twice, has_aux=True)(v)
        return rows, slopes

    def cost(self, v: Float[Array, " n"]) -> Float[Array, ""]:
        """The cost at v; infinite where it is not a number."""
        return self._total(self.rows(v))

    def linearise(self, v: Float[Array, " n"]) -> Linearisation:
        """The cost at v with its Gauss-Newton model, the loss's curvature included (Triggs)."""
        rows, slopes = self.jacobian(v)
        rho, z = self.weigh(rows)
        share = rho.slope + 2 * rho.curvature * z
        root = jnp.sqrt(jnp.maximum(share, LEAST_SHARE * rho.slope))
        factor, triangle = jnp.linalg.qr(root[:, None] * slopes)
        rotated = factor.T @ (rows * rho.slope / root)
        return Linearisation(self._total(rows), triangle, rotated, rows, factor.T * root[None])

    def weigh(self, rows: Float[Array, " rows"]) -> tuple[Rho, Float[Array, " rows"]]:
        """The loss of every row, and the z that it is a function of; prior rows are squared."""
        scale = jnp.asarray(self.loss.scale)
        z = (rows / scale) ** 2
        rho = self.loss.rho(z)
        if self.prior is None:
            return rho, z
        prior = jnp.arange(rows.size) >= rows.size - self.box.lower.size
        return tree_map(lambda a, b: jnp.where(prior, a, b), Linear().rho(z), rho), z

    def _total(self, rows: Float[Array, " rows"]) -> Float[Array, ""]:
        total = jnp.asarray(self.loss.scale) ** 2 * jnp.sum(self.weigh(rows)[0].value) / 2
        return jnp.where(jnp.isfinite(total), total, jnp.inf)
