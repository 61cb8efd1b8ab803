"""The pull-back of `Auto`: the adjoint series where it was decided, a linear solve where needed."""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.tree_util import tree_map
from jaxtyping import Array, Bool, Int, PyTree

from unrolljax.core.solver import Problem, Solver, State
from unrolljax.core.status import Status
from unrolljax.gradients.adjoint import theorem
from unrolljax.gradients.adjoint.refine import ErrorReport, RefinedSolve
from unrolljax.gradients.decision import Decision
from unrolljax.gradients.series import Split, linearise_step, split, transpose
from unrolljax.gradients.truncated import carry_back

Whole = tuple[Solver, Problem, State]


class HybridReport(NamedTuple):
    """How a backward pass went, per element of a batch.

    - `enough`: whether the estimated error is within the tolerance;
    - `depth`: terms of the series, 0 where it was not tried;
    - `products`: products with a Jacobian, transposed, in all (LU takes one for each column).
    """

    enough: Bool[Array, ""]
    depth: Int[Array, ""]
    products: Int[Array, ""]


def pull_back(
    solver: Solver,
    problem: Problem,
    state: State,
    decision: Decision,
    max_depth: Array,
    cotangent: PyTree[Array],
) -> tuple[Any, HybridReport]:
    """Cotangent of `(solver, problem)` for one of x, None where a leaf is no inexact array.

    The series is summed, to `max_depth` terms, where it was decided; the adjoint system is solved
    where it was not, and where the terms were too few.
    """
    whole = (solver, problem, state)
    zero = jnp.zeros((), jnp.int32)
    nothing = HybridReport(jnp.zeros((), bool), zero, zero)
    done = tree_map(jnp.zeros_like, split((solver, problem)).numbers), nothing

    def series(whole, bar):
        return _by_series(whole, bar, decision, max_depth)

    if solver.differentiable_step:
        done = _run_where(decision.truncated, series, whole, cotangent, done)
    before = done[1]

    def solve(whole, bar):
        return _by_theorem(whole, bar, decision, before)

    return _run_where(~before.enough, solve, whole, cotangent, done)


def _run_where(
    needed: Array,
    function: Callable[[Any, PyTree], Any],
    whole: Whole,
    cotangent: PyTree[Array],
    otherwise: Any,
) -> Any:
    """`function(whole, cotangent)` where needed, else `otherwise`.

    A while loop, not a cond: vmapped, its body still runs only if some element needs it, and an
    element that does not gets a zero cotangent, for which every iteration ends at once. The
    barrier ties the arguments to the carry, or XLA would hoist work out of the loop.
    """
    arrays, static = eqx.partition(whole, eqx.is_array)

    def once(carry):
        bound, bar, _ = jax.lax.optimization_barrier((arrays, cotangent, carry))
        bar = tree_map(lambda v: jnp.where(needed, v, jnp.zeros_like(v)), bar)
        return jnp.zeros((), bool), function(eqx.combine(bound, static), bar)

    return jax.lax.while_loop(lambda carry: carry[0], once, (needed, otherwise))[1]


def _by_series(whole: Whole, cotangent: PyTree[Array], decision: Decision, max_depth: Array):
    """The adjoint series at the last state, as `Truncated` sums it."""
    solver, problem, state = whole
    theta, last = split((solver, problem)), split(state)
    linear = linearise_step(theta, last)

    def read(numbers):
        return solver.read(Split(numbers, last.others, last.static).whole)

    first = jax.vjp(read, last.numbers)[1](cotangent)[0]
    back = transpose(linear.through_state, last.numbers)
    total, enough, depth = carry_back(back, first, decision.rate, decision.tol, max_depth)
    bar = transpose(linear.from_theta, theta.numbers)(total)
    return bar, HybridReport(enough, depth, depth)


def _by_theorem(
    whole: Whole, cotangent: PyTree[Array], decision: Decision, before: HybridReport
) -> tuple[Any, HybridReport]:
    """The adjoint system of the solver's condition, after a series that was not enough."""
    solver, problem, state = whole
    condition = theorem.Condition(
        residual=lambda theta, x: theta[0].optimality(theta[1], x),
        structure=solver.structure(problem),
        support=lambda theta, x: theta[0].support(theta[1], x),
        linear=RefinedSolve(tol=decision.tol, rate=decision.rate),
    )
    bar, _, report = theorem.pull_back(condition, (solver, problem), solver.read(state), cotangent)
    solved = report.status == Status.CONVERGED
    products = before.products + cast(ErrorReport, report).products + 1
    return bar, HybridReport(solved, before.depth, products)
