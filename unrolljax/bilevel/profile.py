"""Profile likelihoods: how the best cost rises as one parameter is held away from its optimum."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from unrolljax.bilevel.bounds import Box
from unrolljax.bilevel.calibration import Calibration
from unrolljax.bilevel.laplace import Laplace
from unrolljax.bilevel.levenberg_marquardt import minimise
from unrolljax.core.status import Status

SPAN = 2.0
"""How far a profile reaches on either side, in half widths of the Laplace interval."""


class Profiles(NamedTuple):
    """One profile a parameter; k runs from the lowest value over the optimum to the highest.

    - `values`: where the parameter is held; `theta`: all of them at the best of the others.
    - `rise`: the cost above the optimum in units of s^2 / 2, a likelihood ratio: chi-squared with
      one degree of freedom for large samples. NaN where the inner fit failed (`status`).
    - `intervals`: where the rise crosses the square of the 95 % quantile; infinite where it does
      not within the span, the bound where that comes first.
    """

    values: Float[Array, "n k"]
    rise: Float[Array, "n k"]
    theta: Float[Array, "n k n"]
    status: Int[Array, "n k"]
    intervals: Float[Array, "n 2"]


def profiles(
    problem: Calibration,
    v: Float[Array, " n"],
    found: Laplace,
    half_width: Float[Array, ""],
    points: int,
    max_steps: Int[Array, ""],
    tol: Float[Array, ""],
) -> Profiles:
    """Refit all other parameters at `points` values on either side of each, outwards, warm.

    All parameters and both sides run in one vmapped scan. Venzon & Moolgavkar 1988; Raue et al.
    2009. Parameters without a finite standard deviation have a profile of NaN.
    """
    best = problem.cost(v)
    reach = SPAN * half_width * jnp.sqrt(jnp.diagonal(found.covariance))
    reach = jnp.where(jnp.isfinite(reach), reach, jnp.nan)
    fractions = jnp.arange(1, points + 1).astype(v.dtype) / points

    def side(entry, sign):
        end = problem.box.clip(v + sign * reach)[entry]
        held = v[entry] + fractions * (end - v[entry])

        def refit(start, value):
            box = Box(
                problem.box.lower.at[entry].set(value), problem.box.upper.at[entry].set(value)
            )
            outcome = minimise(problem, start.at[entry].set(value), box, max_steps, tol)
            return outcome.v, outcome

        _, outcomes = jax.lax.scan(refit, v, held)
        rise = 2 * (outcomes.cost - best) / found.variance
        rise = jnp.where(outcomes.status == Status.CONVERGED, rise, jnp.nan)
        bound = jnp.where(sign < 0, problem.box.lower[entry], problem.box.upper[entry])
        end = _crossing(
            v[entry], held, rise, half_width, jnp.where(end == bound, bound, sign * jnp.inf)
        )
        return held, rise, outcomes.v, outcomes.status, end

    both = jax.vmap(side, in_axes=(None, 0))
    signs = jnp.array([-1.0, 1.0], v.dtype)
    values, rise, theta, status, ends = jax.vmap(both, in_axes=(0, None))(jnp.arange(v.size), signs)
    centre = jnp.broadcast_to(v, (v.size, v.size))
    return Profiles(
        _join(values, v),
        _join(rise, jnp.zeros_like(v)),
        _join(theta, centre),
        _join(status, jnp.full((v.size,), Status.CONVERGED, jnp.int32)),
        ends,
    )


def _crossing(centre: Array, held: Array, rise: Array, half_width: Array, beyond: Array) -> Array:
    """Where the root of the rise, nearly linear in the parameter, crosses the half width."""
    at = jnp.concatenate([centre[None], held])
    root = jnp.concatenate([jnp.zeros((1,), rise.dtype), jnp.sqrt(jnp.maximum(rise, 0))])
    above = root >= half_width
    after = jnp.maximum(jnp.argmax(above), 1)
    share = (half_width - root[after - 1]) / (root[after] - root[after - 1])
    crossing = at[after - 1] + share * (at[after] - at[after - 1])
    beyond = jnp.where(jnp.any(jnp.isnan(root)), jnp.nan, beyond)
    return jnp.where(jnp.any(above), crossing, beyond)


def _join(sides: Array, centre: Array) -> Array:
    """The lower side reversed, the optimum, the upper side."""
    return jnp.concatenate([sides[:, 0, ::-1], centre[:, None], sides[:, 1]], axis=1)
