"""A gradient corrected: Newton steps of the solution, and the adjoint refined at the new point.

With a condition `F(theta, x) = 0`, `A = dF/dx` and the cotangent `w` of x, one round takes a
loosely solved Newton step `A d = -F`, `x <- x + d`, and then refines the adjoint, `A^T e = w - A^T
u`, `u <- u + e`, at the new point. Both right sides are what is left, so that each round lowers
what it finds by the same factor. The distance to the gradient of the last round estimates the
error of the first; the last two rounds together say whether that can be relied on.

Far from the solution, or while the active set is wrong, a Newton step does not lower the
condition. It is then not taken, and the next round begins with steps of the solver: twice as many
each time, with extrapolation every other time.
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
from unrolljax.gradients.adjoint.theorem import Condition

Theta = Any
Unknown = PyTree[Array]

SETTLED = 0.1
"""Share of the whole correction by which the last round may still have moved the gradient."""

LOWERED = 0.1
"""Share of the condition that a Newton step may leave, and relative change of dF/dx along it."""

FIRST_STEPS = 16
"""Steps of the solver after the first Newton step that is not taken."""


class Corrected(NamedTuple):
    """Where the corrections ended.

    - `x`, `adjoint`, `gradient`: after the last round.
    - `distance`: norm of the way from the gradient that was corrected; `change`: of the last
      round's share of it.
    - `taken`: whether the last Newton step was taken.
    - `bend`: relative change of dF/dx along it, `|(A(x + d) - A(x)) d| / |A d|`, the largest since
      one was taken. It falls with the step, unless dF/dx is singular at the solution.
    - `residual`: norm of the condition; `adjoint_residual`: norm of `w - A^T u`, and relative.
    - `steps`: of the solver in the next round.
    - `cost`: iterations of all linear solves, and steps of the solver; `rounds`: how many rounds.
    """

    x: Unknown
    adjoint: Unknown
    gradient: Theta
    distance: Float[Array, ""]
    change: Float[Array, ""]
    taken: Bool[Array, ""]
    bend: Float[Array, ""]
    residual: Float[Array, ""]
    adjoint_residual: Float[Array, ""]
    relative_adjoint_residual: Float[Array, ""]
    steps: Int[Array, ""]
    cost: Int[Array, ""]
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
        size = trees.norm(self.gradient)
        rounding = jnp.finfo(size.dtype).eps ** 0.6 * size
        settled = self.change <= jnp.maximum(SETTLED * self.distance, rounding)
        status = jnp.where(settled & self.taken, Status.CONVERGED, Status.UNCERTAIN)
        status = jnp.where(self.bend <= LOWERED, status, Status.SINGULAR)
        unsolved = self.taken & (self.relative_adjoint_residual > tol)
        return jnp.where(unsolved, Status.ADJOINT_BREAKDOWN, status).astype(jnp.int32)


def correct(
    condition: Condition,
    outer: Callable[[Theta, Unknown], Array],
    theta: Theta,
    x: Unknown,
    adjoint: Unknown,
    gradient: Theta,
    step_on: Callable[[Unknown, Int[Array, ""], Bool[Array, ""]], Unknown],
    max_rounds: int,
) -> Corrected:
    """Correct twice, then until the gradient has settled, `max_rounds` times at most.

    `gradient` may come from any mode, computed at x. `step_on(x, steps, extrapolated)` takes steps
    of the solver; one comes before every Newton step where the condition holds on a support, to
    find it. The tolerance is that of `condition.linear`.
    """
    tol = jnp.asarray(condition.linear.tol)
    least = jnp.asarray(int(condition.declares_support(theta, x)), jnp.int32)

    def go_on(now: Corrected) -> Bool[Array, ""]:
        unsettled = now.status(tol) != Status.CONVERGED
        return (now.rounds < 2) | (unsettled & (now.rounds < max_rounds))

    def advance(old: Corrected) -> Corrected:
        start = step_on(old.x, old.steps, old.rounds % 2 == 0)
        trusted = old.steps <= least
        x, taken, bend, residual, newton_cost = _newton(condition, theta, start, trusted)
        refined = _refine(condition, outer, theta, x, old.adjoint, taken)
        adjoint, new, left, relative, adjoint_cost = refined
        new = trees.where(taken, new, old.gradient)
        more = jnp.maximum(FIRST_STEPS, 2 * old.steps)
        return Corrected(
            x, adjoint, new,
            distance=trees.norm(trees.subtract(new, gradient)),
            change=trees.norm(trees.subtract(new, old.gradient)),
            taken=taken,
            bend=jnp.where(taken | (old.rounds == 0), bend, jnp.maximum(bend, old.bend)),
            residual=residual,
            adjoint_residual=left,
            relative_adjoint_residual=relative,
            steps=jnp.where(taken, least, more),
            cost=old.cost + old.steps + newton_cost + adjoint_cost,
            rounds=old.rounds + 1,
        )  # fmt: skip

    far, none = jnp.full((), jnp.inf, trees.norm(x).dtype), jnp.zeros((), jnp.int32)
    never = jnp.zeros((), bool)
    start = (x, adjoint, gradient, 0 * far, far, never, far, far, far, far, least, none, none)
    return jax.lax.while_loop(go_on, advance, Corrected(*start))


def _newton(condition: Condition, theta: Theta, x: Unknown, trusted: Bool[Array, ""]):
    """Where a Newton step leads, whether it was taken, its bend, the residual there, iterations.

    A step as small as rounding errors cannot lower the condition and is taken all the same, if the
    step before can be `trusted`: at a singular solution steps become as small, and never lower it.
    """

    def residual(pairs):
        return condition.restrict(condition.in_real(theta, pairs, x), theta, x)

    pairs = trees.real_pair(x)
    before, push = jax.linearize(residual, pairs)
    step, report = condition.solve(push, tree_map(jnp.negative, before), theta, x)
    there = trees.add(pairs, step)
    after, turned = jax.jvp(residual, (there,), (step,))
    straight = push(step)
    size = trees.norm(straight)
    bend = trees.norm(trees.subtract(turned, straight)) / jnp.where(size > 0, size, 1)
    sizes = trees.norm(before), trees.norm(after)
    rounding = jnp.finfo(size.dtype).eps ** 0.6 * trees.norm(pairs)
    lowered = (sizes[1] <= LOWERED * sizes[0]) & (bend <= LOWERED)
    taken = lowered | (trusted & (trees.norm(step) <= rounding))
    pairs = trees.where(taken, there, pairs)
    left = jnp.where(taken, sizes[1], sizes[0])
    return trees.from_real_pair(pairs, x), taken, bend, left, report.steps


def _refine(condition: Condition, outer: Callable, theta, x, adjoint, wanted: Bool[Array, ""]):
    """Adjoint and gradient at x, the adjoint's residual, relative too, and iterations.

    Where it is not `wanted` the adjoint stays, at no cost.
    """
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
    left = trees.scale(wanted, trees.subtract(w, transposed(u)))
    more, report = condition.solve(transposed, left, theta, x)
    u = trees.add(u, more)
    left, size = trees.norm(trees.subtract(w, transposed(u))), trees.norm(w)
    gradient = trees.subtract(direct, pull(u)[0])
    relative = left / jnp.where(size > 0, size, 1)
    return trees.from_real_pair(u, x), gradient, left, relative, report.steps
