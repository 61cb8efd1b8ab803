"""Value and gradient of an outer objective of a solution, with what was found on the way."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.tree_util import tree_map
from jaxtyping import Array, Float, Int, PyTree

from unrolljax.core import trees
from unrolljax.core.solution import Solution
from unrolljax.core.solver import Problem, Solver
from unrolljax.core.status import Status
from unrolljax.core.stop import Stop
from unrolljax.gradients.adjoint.linear import LinearReport
from unrolljax.gradients.adjoint.theorem import Condition, pull_back
from unrolljax.gradients.detach import Detach
from unrolljax.gradients.implicit import Implicit
from unrolljax.gradients.mode import GradientMode
from unrolljax.gradients.solve import solve

Theta = PyTree[Array]
Unknown = PyTree[Array]
Outer = Callable[[Theta, Unknown], Float[Array, ""]]
ProblemOf = Callable[[Theta], Problem]


class OuterGradient(NamedTuple):
    """An outer value and its gradient.

    - `value`: `outer(theta, x)`.
    - `gradient`: its total derivative, with the structure of theta (None where a leaf is no inexact
      array); NaN where the mode says so.
    - `solution`: the inner solve.
    - `adjoint`: the solution of the adjoint system, with the structure of x, and `linear`: its
      report; both None in modes that solve no such system.
    """

    value: Float[Array, ""]
    gradient: Theta
    solution: Solution
    adjoint: Unknown | None
    linear: LinearReport | None

    @property
    def status(self) -> Int[Array, ""]:
        """The first failure of: the solve, the adjoint solve, the gradient's finiteness."""
        status = self.solution.status
        if self.linear is not None:
            unsolved = (status <= Status.COMPLETED) & (self.linear.status != Status.CONVERGED)
            status = jnp.where(unsolved, self.linear.status, status)
        infinite = ~trees.all_finite((self.value, self.gradient))
        unusable = (status <= Status.COMPLETED) & infinite
        return jnp.where(unusable, Status.NONFINITE, status).astype(jnp.int32)


def outer_gradient(
    outer: Outer,
    solver: Solver,
    problem_fn: ProblemOf,
    theta: Theta,
    x0: Unknown,
    gradient: GradientMode,
    stop: Stop,
) -> OuterGradient:
    """`d outer(theta, x(theta)) / d theta`, x the solution of `problem_fn(theta)` from x0.

    An implicit gradient is computed in one pass that keeps the adjoint, instead of through a
    derivative rule that would hide it; the numbers are the same.
    """
    if isinstance(gradient, Implicit):
        return _implicit(outer, solver, problem_fn, theta, x0, gradient, stop)

    def value(theta):
        solution = solve(solver, problem_fn(theta), x0, gradient=gradient, stop=stop)
        return outer(theta, solution.value), solution

    (found, solution), slope = eqx.filter_value_and_grad(value, has_aux=True)(theta)
    return OuterGradient(found, slope, solution, None, None)


def with_gradient(value: Float[Array, ""], gradient: Theta, theta: Theta) -> Float[Array, ""]:
    """`value`, whose derivative in theta is `gradient`: for losses that know their own gradient.

    It lets a loop that calls `jax.grad` use a hypergradient that carries more than a number: warm
    starts, or the estimate of its error. No second derivative; NaN where the gradient is NaN.
    """
    value, gradient = trees.stop_gradient((value, gradient))
    numbers = eqx.filter(theta, eqx.is_inexact_array)
    moved = trees.subtract(numbers, trees.stop_gradient(numbers))
    products = tree_map(lambda g, d: jnp.sum(jnp.real(g * d)), gradient, moved)
    return value + jnp.sum(jnp.stack(jax.tree.leaves(products))).astype(value.dtype)


def condition_of(mode: Implicit, solver: Solver, problem_fn: ProblemOf, theta: Theta) -> Condition:
    """The solver's condition as a function of theta."""
    structure = solver.structure(problem_fn(theta))
    return trees.arrays(mode).condition(structure, lambda theta: (solver, problem_fn(theta)))


def _implicit(outer, solver, problem_fn, theta, x0, mode: Implicit, stop: Stop) -> OuterGradient:
    mode.check(solver, stop, min(v.dtype for v in jax.tree.leaves(x0)))
    solution = solve(solver, problem_fn(theta), x0, gradient=Detach(), stop=stop)
    x, (numbers, rest) = solution.value, eqx.partition(theta, eqx.is_inexact_array)
    value, pull = jax.vjp(lambda n, x: outer(eqx.combine(n, rest), x), numbers, x)
    direct, cotangent = pull(jnp.ones_like(value))
    condition = condition_of(mode, solver, problem_fn, theta)
    bar, adjoint, report = pull_back(condition, theta, x, cotangent)
    slope = trees.add(direct, bar)
    if mode.on_failure == "nan":
        good = (solution.status == Status.CONVERGED) & (report.status == Status.CONVERGED)
        slope = tree_map(lambda v: jnp.where(good, v, jnp.full_like(v, jnp.nan)), slope)
    return OuterGradient(value, slope, solution, adjoint, report)
