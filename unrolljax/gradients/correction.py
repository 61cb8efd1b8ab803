"""A gradient corrected: Newton steps of the solution, and the adjoint refined at the new point.

With a condition `F(theta, x) = 0`, `A = dF/dx` and the cotangent `w` of x, one round takes a
loosely solved Newton step `A d = -F`, `x <- x + d`, and then refines the adjoint, `A^T e = w - A^T
u`, `u <- u + e`, at the new point. Both right sides are what is left, so that each round lowers
what it finds by the same factor. The distance to the gradient of the last round estimates the
error of the first; the last two rounds together say whether that can be relied on.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.tree_util import tree_map
from jaxtyping import Array, Bool, Float, Int, PyTree

from unrolljax.core import trees
from unrolljax.core.status import Status
from unrolljax.gradients.theorem import Condition

Theta = Any
Unknown = PyTree[Array]

SETTLED = 0.1
"""Share of the whole correction by which the last round may still have moved the gradient."""

BENT = 0.1
"""Relative change of dF/dx along a Newton step up to which the step is in its quadratic range."""


class Corrected(NamedTuple):
    """Where the corrections ended.

    - `x`, `adjoint`, `gradient`: after the last round; `theta` without its other leaves.
    - `distance`: norm of the way from the gradient that was corrected.
    - `change`: norm of the last round's share of that way.
    - `bend`: relative change of dF/dx along the last Newton step, `|(A(x + d) - A(x)) d| / |A d|`.
      It falls with the step, unless dF/dx is singular at the solution.
    - `residual`: norm of the condition; `adjoint_residual`: norm of `w - A^T u`, and relative.
    - `steps`: iterations of all linear solves; `rounds`: how many rounds.
    """

    x: Unknown
    adjoint: Unknown
    gradient: Theta
    distance: Float[Array, ""]
    change: Float[Array, ""]
    bend: Float[Array, ""]
    residual: Float[Array, ""]
    adjoint_residual: Float[Array, ""]
    relative_adjoint_residual: Float[Array, ""]
    steps: Int[Array, ""]
    rounds: Int[Array, ""]

    @property
    def error(self) -> Float[Array, ""]:
        """Estimated relative error of the gradient that was corrected."""
        size = trees.norm(self.gradient)
        error = jnp.maximum(self.distance, self.change) / jnp.where(size > 0, size, 1)
        return jnp.where(size > 0, error, jnp.where(self.distance > 0, jnp.inf, 0))

    def status(self, tol: Float[Array, ""]) -> Int[Array, ""]:
        """CONVERGED where the corrections can be relied on, else what stands against it.

        Moves of the gradient below `eps ** 0.6` of it are rounding errors, which do not settle.
        """
        solved = self.relative_adjoint_residual <= tol
        size = trees.norm(self.gradient)
        rounding = jnp.finfo(size.dtype).eps ** 0.6 * size
        settled = self.change <= jnp.maximum(SETTLED * self.distance, rounding)
        status = jnp.where(settled, Status.CONVERGED, Status.UNCERTAIN)
        status = jnp.where(self.bend <= BENT, status, Status.SINGULAR)
        return jnp.where(solved, status, Status.ADJOINT_BREAKDOWN).astype(jnp.int32)


def correct(
    condition: Condition,
    outer: Callable[[Theta, Unknown], Array],
    theta: Theta,
    x: Unknown,
    adjoint: Unknown,
    gradient: Theta,
    identify: Callable[[Unknown], Unknown],
    max_rounds: int,
) -> Corrected:
    """Correct twice, then until the gradient has settled, `max_rounds` times at most.

    `gradient` may come from any mode, computed at x; `identify` is applied to x before each Newton
    step, to find the active set. The tolerance is that of `condition.linear`.
    """
    tol = jnp.asarray(condition.linear.tol)

    def go_on(now: Corrected) -> Bool[Array, ""]:
        unsettled = now.status(tol) != Status.CONVERGED
        return (now.rounds < 2) | (unsettled & (now.rounds < max_rounds))

    def advance(old: Corrected) -> Corrected:
        x, residual, bend, newton_steps = _newton(condition, theta, identify(old.x))
        refined = _refine(condition, outer, theta, x, old.adjoint)
        adjoint, new, left, relative, adjoint_steps = refined
        return Corrected(
            x, adjoint, new,
            distance=trees.norm(trees.subtract(new, gradient)),
            change=trees.norm(trees.subtract(new, old.gradient)),
            bend=bend,
            residual=residual,
            adjoint_residual=left,
            relative_adjoint_residual=relative,
            steps=old.steps + newton_steps + adjoint_steps,
            rounds=old.rounds + 1,
        )  # fmt: skip

    far = jnp.full((), jnp.inf, trees.norm(x).dtype)
    none = jnp.zeros((), jnp.int32)
    start = Corrected(x, adjoint, gradient, 0 * far, *[far] * 5, steps=none, rounds=none)
    return jax.lax.while_loop(go_on, advance, start)


def _newton(condition: Condition, theta: Theta, x: Unknown):
    """Where a Newton step leads, norm of the condition there, bend and iterations of the step."""

    def residual(pairs):
        return condition.restrict(condition.in_real(theta, pairs, x), theta, x)

    pairs = trees.real_pair(x)
    before, push = jax.linearize(residual, pairs)
    step, report = condition.solve(push, tree_map(jnp.negative, before), theta, x)
    pairs = trees.add(pairs, step)
    after, turned = jax.jvp(residual, (pairs,), (step,))
    straight = push(step)
    size = trees.norm(straight)
    bend = trees.norm(trees.subtract(turned, straight)) / jnp.where(size > 0, size, 1)
    return trees.from_real_pair(pairs, x), trees.norm(after), bend, report.steps


def _refine(condition: Condition, outer: Callable, theta: Theta, x: Unknown, adjoint: Unknown):
    """Adjoint and gradient at x, norm of the adjoint's residual, relative too, and iterations."""
    numbers, rest = eqx.partition(theta, eqx.is_inexact_array)

    def value(numbers, pairs):
        return outer(eqx.combine(numbers, rest), trees.from_real_pair(pairs, x))

    def residual(numbers, pairs):
        return condition.in_real(eqx.combine(numbers, rest), pairs, x)

    pairs = trees.real_pair(x)
    direct, w = jax.grad(value, argnums=(0, 1))(numbers, pairs)
    w = condition.restrict(w, theta, x)
    _, pull = jax.vjp(residual, numbers, pairs)

    def transposed(u):
        return condition.restrict(pull(u)[1], theta, x)

    u = condition.restrict(trees.real_pair(adjoint), theta, x)
    more, report = condition.solve(transposed, trees.subtract(w, transposed(u)), theta, x)
    u = trees.add(u, more)
    left, size = trees.norm(trees.subtract(w, transposed(u))), trees.norm(w)
    gradient = trees.subtract(direct, pull(u)[0])
    relative = left / jnp.where(size > 0, size, 1)
    return trees.from_real_pair(u, x), gradient, left, relative, report.steps
