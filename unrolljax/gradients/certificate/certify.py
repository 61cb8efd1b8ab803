"""The certificate: a hypergradient with an estimate of its error, and, where possible, a bound."""

import dataclasses
import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.tree_util import tree_leaves, tree_map
from jaxtyping import Array, Float, Int

from unrolljax.core import trees
from unrolljax.core.refuse import refuse_derivative
from unrolljax.core.solution import Solution
from unrolljax.core.solver import Problem, Solver
from unrolljax.core.status import Status, describe
from unrolljax.core.stop import Stop
from unrolljax.gradients.adjoint.linear import LinearReport, LinearSolve
from unrolljax.gradients.adjoint.theorem import Condition
from unrolljax.gradients.certificate.bound import Constants, error_bound, relative_bound
from unrolljax.gradients.certificate.correction import Corrected, correct
from unrolljax.gradients.certificate.curvature import extreme_eigenvalues
from unrolljax.gradients.certificate.stepping import step_on
from unrolljax.gradients.implicit import Implicit
from unrolljax.gradients.mode import GradientMode
from unrolljax.gradients.outer_gradient import (
    Outer,
    OuterGradient,
    ProblemOf,
    Theta,
    Unknown,
    condition_of,
    outer_gradient,
)
from unrolljax.gradients.rate import estimate_rate
from unrolljax.gradients.series import split

PRODUCTS = 10
"""Matrix-free products from which rate and curvature are measured."""


class Certificate(eqx.Module):
    """A hypergradient and what is known of its error.

    - `value`, `gradient`: of the outer objective, the latter as the gradient mode gives it; NaN
      where the mode says so, and where the condition proves singular.
    - `error`: estimated `|gradient - exact| / |exact|`, exact for the exact solution; infinite
      where it is unknown.
    - `bound`: guaranteed bound of the same, infinite where none is; None without constants.
    - `status`: CONVERGED where the estimate can be relied on, else why not.
    - `corrected`: the gradient after the corrections, more accurate than `gradient`, and
      `corrected_x` the solution.
    - `solution`, `adjoint`, `linear`: of the gradient, as in `OuterGradient`.
    - `residual`: norm of the condition at the solution, in the condition's units.
    - `adjoint_residual`: relative residual of the adjoint system, None where none is solved.
    - `rate`: measured contraction of a step at the solution: the largest of forward and adjoint
      power ratio and the loop's own; that alone where the step cannot be differentiated.
    - `curvature`: least and largest Ritz value of a symmetric condition's Jacobian, else None.
    - `steps`: iterations of linear solves, and steps of the solver, that the estimate took.
    - `rounds`: corrections.
    """

    value: Float[Array, ""]
    gradient: Theta
    error: Float[Array, ""]
    bound: Float[Array, ""] | None
    status: Int[Array, ""]
    corrected: Theta
    corrected_x: Unknown
    solution: Solution
    adjoint: Unknown | None
    linear: LinearReport | None
    residual: Float[Array, ""]
    rate: Float[Array, ""]
    curvature: tuple[Float[Array, ""], Float[Array, ""]] | None
    steps: Int[Array, ""]
    rounds: Int[Array, ""]

    @property
    def adjoint_residual(self) -> Float[Array, ""] | None:
        """Relative residual of the adjoint system."""
        return None if self.linear is None else self.linear.residual

    def __str__(self) -> str:
        bound = "" if self.bound is None else f", guaranteed below {float(self.bound):.1e}"
        doubt = "" if self.status == Status.CONVERGED else f" {describe(self.status)}"
        return (
            f"gradient of norm {float(trees.norm(self.gradient)):.3g}, relative error about "
            f"{float(self.error):.1e}{bound} ({int(self.solution.steps)} steps, "
            f"{int(self.steps)} for the estimate).{doubt}"
        )


def certify(
    outer: Outer,
    solver: Solver,
    problem_fn: ProblemOf,
    theta: Theta,
    x0: Unknown,
    *,
    gradient: GradientMode | None = None,
    stop: Stop | None = None,
    constants: Constants | None = None,
    tol: float | Array = 1e-2,
    max_rounds: int = 10,
) -> Certificate:
    """Gradient of `outer(theta, x(theta))` with its relative error, estimated after the fact.

    x is the solution of `problem_fn(theta)`; `gradient` is any mode. The estimate is the distance
    to a gradient that was corrected at least twice (`certificate.correction`): it is asymptotically
    exact, asks for no constants, and costs about as much as an implicit gradient.

    - `outer(theta, x)`, `problem_fn(theta)`: pure functions; large arrays in them become arguments
      if they are pytrees themselves (`equinox.Module`, `jax.tree_util.Partial`).
    - `theta`: any pytree; the gradient is with respect to its inexact arrays.
    - `constants`: those of the condition and of `outer`; gives a guaranteed bound.
    - `tol`: relative residual to which each linear solve of a correction goes.
    - `max_rounds`: static; corrections at most, at least two.

    Works under jit and vmap; outside jit it compiles once per structure. What it returns has no
    derivative: differentiating it gives NaN (`with_gradient` puts the gradient into a loss).
    Sources: Ehrhardt & Roberts 2023 (a-posteriori bounds); Ablin, Peyré & Moreau 2020 (errors of
    automatic, implicit and analytic gradients).
    """
    gradient = Implicit() if gradient is None else gradient
    stop = Stop() if stop is None else stop
    if max_rounds < 2:
        raise ValueError(f"certify(max_rounds={max_rounds}): the second round tests the first.")
    inputs = (outer, solver, problem_fn, theta, x0, gradient, stop, constants, tol)
    return _certify(trees.arrays(inputs), max_rounds)


@eqx.filter_jit
def _certify(inputs: tuple, max_rounds: int) -> Certificate:
    still: Any = (*trees.stop_gradient(inputs), max_rounds)
    return refuse_derivative(_measured(*still), inputs)


def _measured(outer, solver, problem_fn, theta, x0, gradient, stop, constants, tol, max_rounds):
    found = outer_gradient(outer, solver, problem_fn, theta, x0, gradient, stop)
    x = found.solution.value
    mode = gradient if isinstance(gradient, Implicit) else Implicit()
    condition = _loosely(condition_of(mode, solver, problem_fn, theta), theta, x, tol)
    adjoint = tree_map(jnp.zeros_like, x) if found.adjoint is None else found.adjoint
    step = functools.partial(step_on, solver, problem_fn(theta))
    end = correct(condition, outer, theta, x, adjoint, found.gradient, step, max_rounds)
    status = _status(found, end, tol)
    good = status == Status.CONVERGED
    singular = status == Status.SINGULAR
    return Certificate(
        value=found.value,
        gradient=tree_map(
            lambda v: jnp.where(singular, jnp.nan, v).astype(v.dtype), found.gradient
        ),
        error=jnp.where(good, end.error, jnp.inf),
        bound=None if constants is None else _bound(constants, end),
        status=status,
        corrected=end.gradient,
        corrected_x=end.x,
        solution=found.solution,
        adjoint=found.adjoint,
        linear=found.linear,
        residual=trees.norm(condition.restrict(condition.residual(theta, x), theta, x)),
        rate=_rate(solver, problem_fn(theta), found.solution),
        curvature=_curvature(condition, theta, x),
        steps=end.cost,
        rounds=end.rounds,
    )


def _loosely(condition: Condition, theta: Theta, x: Unknown, tol: Array) -> Condition:
    """The condition, its linear systems solved to `tol` in no more iterations than can help.

    Without a fallback for conjugate gradients: what they do not solve is met again, better placed.
    """
    size = sum(leaf.size for leaf in tree_leaves(x))
    few = min(condition.linear.max_steps, 4 * size + 50)
    definite = condition.structure.positive_definite or condition.declares_support(theta, x)
    linear = LinearSolve(condition.linear.methods, tol, few, fallback=not definite)
    return dataclasses.replace(condition, linear=linear, guess=None)


def _status(found: OuterGradient, end: Corrected, tol: Array) -> Int[Array, ""]:
    """Of the estimate; where the gradient itself is not finite, of what broke it."""
    finite = trees.all_finite(found.gradient)
    return jnp.where(finite, end.status(tol), found.status).astype(jnp.int32)


def _bound(constants: Constants, end: Corrected) -> Float[Array, ""]:
    of_corrected = error_bound(
        constants, end.residual, end.adjoint_residual, trees.norm(end.adjoint)
    )
    bound = relative_bound(end.distance, of_corrected, trees.norm(end.gradient))
    return jnp.where(jnp.isnan(bound), jnp.inf, bound)


def _rate(solver: Solver, problem: Problem, solution: Solution) -> Float[Array, ""]:
    if not solver.differentiable_step:
        return solution.info.rate
    state = split(solution.state)

    def step(numbers):
        whole = eqx.combine(numbers, state.others, state.static)
        return eqx.filter(solver.step(problem, whole), eqx.is_inexact_array)

    return jnp.maximum(solution.info.rate, estimate_rate(step, state.numbers, steps=PRODUCTS))


def _curvature(condition: Condition, theta: Theta, x: Unknown):
    if not (condition.structure.symmetric or condition.declares_support(theta, x)):
        return None
    pairs = trees.real_pair(x)
    flat, unravel = ravel_pytree(pairs)
    _, push = jax.linearize(lambda p: condition.in_real(theta, p, x), pairs)

    def product(v):
        return ravel_pytree(condition.restrict(push(unravel(v)), theta, x))[0]

    start = jax.random.normal(jax.random.key(0), flat.shape, flat.dtype)
    start = ravel_pytree(condition.restrict(unravel(start), theta, x))[0]
    return extreme_eigenvalues(product, start, PRODUCTS)
