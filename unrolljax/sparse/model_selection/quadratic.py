"""The lasso in its Gram matrix: coordinate descent that finds signs, Newton steps that finish."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from unrolljax import prox
from unrolljax.core import trees

EPOCHS = 4
"""Sweeps of coordinate descent before each Newton step."""


class Quadratic(NamedTuple):
    """Minimise `x^T G x / 2 - b^T x + sum(weight * |x|)`.

    G is symmetric positive semidefinite with a positive diagonal. Violations of the optimality
    conditions are measured in `unit`.
    """

    G: Float[Array, "m m"]
    b: Float[Array, " m"]
    weight: Float[Array, " m"]
    unit: Float[Array, " m"]

    def value(self, x: Float[Array, " m"]) -> Float[Array, ""]:
        """The objective."""
        return x @ (self.G @ x) / 2 - self.b @ x + self.weight @ jnp.abs(x)

    def violation(self, x: Float[Array, " m"]) -> Float[Array, ""]:
        """Largest violation of the optimality conditions."""
        return jnp.max(violations(self.G @ x - self.b, x, self.weight) / self.unit)


def violations(
    slope: Float[Array, " m"], x: Float[Array, " m"], weight: Float[Array, " m"]
) -> Float[Array, " m"]:
    """Distance of minus the slope from the subdifferential of `weight * |x|`, elementwise."""
    free = (x != 0) | (weight == 0)
    inside = jnp.abs(slope + weight * jnp.sign(x))
    return jnp.where(free, inside, jnp.maximum(jnp.abs(slope) - weight, 0))


def minimise(
    problem: Quadratic, x: Float[Array, " m"], tol: Float[Array, ""], max_rounds: int
) -> Float[Array, " m"]:
    """Descend from x until the violation is at most `tol`; never uphill."""

    def unfinished(carry):
        _, violation, rounds = carry
        return (violation > tol) & (rounds < max_rounds)

    def advance(carry):
        x, _, rounds = carry
        x = jax.lax.fori_loop(0, EPOCHS, lambda _, v: _sweep(problem, v), x)
        x = _newton(problem, x)
        return x, problem.violation(x), rounds + 1

    start = (x, problem.violation(x), jnp.zeros((), jnp.int32))
    return jax.lax.while_loop(unfinished, advance, start)[0]


def _sweep(problem: Quadratic, x: Float[Array, " m"]) -> Float[Array, " m"]:
    """Minimise over one coordinate after the other."""
    curvature = jnp.diag(problem.G)

    def update(j, carry):
        x, slope = carry
        target = x[j] - slope[j] / curvature[j]
        new = prox.l1(target, problem.weight[j] / curvature[j])
        return x.at[j].set(new), slope + problem.G[j] * (new - x[j])

    return jax.lax.fori_loop(0, x.size, update, (x, problem.G @ x - problem.b))[0]


def _newton(problem: Quadratic, x: Float[Array, " m"]) -> Float[Array, " m"]:
    """A Newton step on the support with the signs held.

    It is the minimiser there if it keeps the signs. If not, the better of two points: the step
    cut where the first sign would change, and the full step with all the changing entries at zero.
    """
    sign = jnp.sign(x)
    free = (x != 0) | (problem.weight == 0)
    target = jnp.where(free, solve_on(problem.G, free, problem.b - problem.weight * sign), 0)
    leaves = (sign != 0) & (problem.weight > 0) & (target * sign <= 0)
    share = jnp.where(leaves, x / jnp.where(leaves, x - target, 1), 1)
    first = jnp.min(share)
    cut = jnp.where(leaves & (share <= first), 0, x + first * (target - x))
    clipped = jnp.where(leaves, 0, target)
    best = jnp.where(problem.value(clipped) < problem.value(cut), clipped, cut)
    best = jnp.where(jnp.any(leaves), best, target)
    return jnp.where(trees.all_finite(target), best, x)


def solve_on(
    G: Float[Array, "m m"], free: Bool[Array, " m"], b: Float[Array, " m"]
) -> Float[Array, " m"]:
    """Solve `G u = b` in the free coordinates by Cholesky, u = b elsewhere; NaN if singular."""
    return jax.scipy.linalg.cho_solve((factor(G, free), True), b)


def factor(G: Float[Array, "m m"], free: Bool[Array, " m"]) -> Float[Array, "m m"]:
    """Lower Cholesky factor of G in the free coordinates, of the identity elsewhere."""
    own = jnp.where(free[:, None] & free[None], G, jnp.eye(free.size, dtype=G.dtype))
    return jnp.linalg.cholesky(own)
