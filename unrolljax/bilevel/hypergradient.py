"""The gradient of an outer objective through an inner solution, with a report on its making."""

import dataclasses
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jax.tree_util import tree_leaves
from jaxtyping import Array, Float, Int

from unrolljax.core import trees
from unrolljax.core.closure import hoist_function
from unrolljax.core.refuse import refuse_derivative
from unrolljax.core.solution import Solution
from unrolljax.core.solver import Solver
from unrolljax.core.status import Status, describe
from unrolljax.core.stop import Stop
from unrolljax.gradients.adjoint.linear import LinearReport
from unrolljax.gradients.certificate.certify import certify
from unrolljax.gradients.implicit import Implicit
from unrolljax.gradients.mode import GradientMode
from unrolljax.gradients.outer_gradient import (
    Outer,
    OuterGradient,
    ProblemOf,
    Theta,
    Unknown,
    outer_gradient,
)


class Report(NamedTuple):
    """How a hypergradient came about; one entry per element of a vmapped batch.

    - `status`: the failure of the solve, else that of the adjoint solve, else NONFINITE where the
      gradient is not finite, else that of the certificate (SINGULAR, UNCERTAIN), else CONVERGED
      (COMPLETED where `Stop(tol=None)` tests nothing).
    - `residual`: of the inner solve, in the units of x; `adjoint_residual`: relative, of the
      adjoint system; None in modes that solve none.
    - `error`: estimated relative error of the gradient, infinite where unknown; None unless asked.
    - `steps`: of the inner solver; `adjoint_steps`: of the adjoint's, 0 where none was iterated.
    """

    status: Int[Array, ""]
    residual: Float[Array, ""]
    adjoint_residual: Float[Array, ""] | None
    error: Float[Array, ""] | None
    steps: Int[Array, ""]
    adjoint_steps: Int[Array, ""]


class Hypergradient(eqx.Module):
    """An outer value, its gradient, and what the next outer step can start from.

    - `value`: `outer(theta, x)`.
    - `gradient`: its total derivative, with the structure of theta (None where a leaf is no inexact
      array); NaN where the gradient mode or the certificate says so.
    - `solution`: the inner solve; `solution.value` is a warm start for x0.
    - `adjoint`: the solution of the adjoint system, a warm start; None in modes that solve none.
    - `report`: status, residuals, error estimate, steps.
    """

    value: Float[Array, ""]
    gradient: Theta
    solution: Solution
    adjoint: Unknown | None
    report: Report

    @property
    def failure(self) -> Int[Array, ""]:
        """The report's status; the solve's own where no more than the error is unknown.

        What a training loop counts: a gradient of unknown error has not failed.
        """
        unknown = self.report.status == Status.UNCERTAIN
        return jnp.where(unknown, self.solution.status, self.report.status)

    def __str__(self) -> str:
        error = self.report.error
        accuracy = "" if error is None else f", relative error about {float(error):.1e}"
        return (
            f"value {float(self.value):.6g}, gradient of norm {float(norm(self.gradient)):.4g}"
            f"{accuracy} ({int(self.report.steps)} steps, {int(self.report.adjoint_steps)} of the "
            f"adjoint solve). {describe(self.report.status)}"
        )


def hypergradient(
    outer: Outer,
    solver: Solver,
    problem_fn: ProblemOf,
    theta: Theta,
    x0: Unknown,
    *,
    adjoint: Unknown | None = None,
    gradient: GradientMode | None = None,
    stop: Stop | None = None,
    certified: bool = False,
) -> Hypergradient:
    """Value and gradient of `outer(theta, x(theta))`, x the solution of `problem_fn(theta)`.

    - `outer(theta, x)`, `problem_fn(theta)`: pure functions, created once. Large arrays belong in
      a pytree that is callable (an `equinox.Module`, a `jax.tree_util.Partial`).
    - `theta`: any pytree; the gradient is with respect to its inexact arrays.
    - `x0`, `adjoint`: where the solve and the adjoint solve start, for example at
      `previous.solution.value` and `previous.adjoint`; with `Implicit` neither changes the result
      beyond the tolerances.
    - `gradient`, `stop`: as in `unrolljax.solve`, `Implicit()` and `Stop()` by default.
    - `certified`: static; also estimate the error (`certify`), for about another gradient's cost.

    Works under jit and vmap; outside jit it compiles once per structure. It carries no second
    derivative: differentiating what it returns gives NaN. Raises ValueError for an adjoint without
    an implicit gradient; what depends on values becomes a status.
    """
    gradient = Implicit() if gradient is None else gradient
    stop = Stop() if stop is None else stop
    gradient = with_guess(gradient, adjoint)
    theta, x0, solver, gradient, stop = trees.arrays((theta, x0, solver, gradient, stop))
    outer, problem_fn = as_arguments(outer, problem_fn, theta, x0)
    return _hypergradient(outer, solver, problem_fn, theta, x0, gradient, stop, certified)


@eqx.filter_jit
def _hypergradient(outer, solver, problem_fn, theta, x0, gradient, stop, certified):
    inputs = (outer, solver, problem_fn, theta, x0, gradient, stop)
    found, report = evaluate(*trees.stop_gradient(inputs), certified=certified)
    made = Hypergradient(found.value, found.gradient, found.solution, found.adjoint, report)
    return refuse_derivative(made, inputs)


def evaluate(
    outer: Outer,
    solver: Solver,
    problem_fn: ProblemOf,
    theta: Theta,
    x0: Unknown,
    gradient: GradientMode,
    stop: Stop,
    *,
    certified: bool,
) -> tuple[OuterGradient, Report]:
    """A hypergradient and its report, to be called inside jit."""
    parts = (outer, solver, problem_fn, theta, x0)
    if not certified:
        found = outer_gradient(*parts, gradient, stop)
        return found, _report(found, None, found.status)
    certificate = certify(*parts, gradient=gradient, stop=stop)
    found = OuterGradient(
        certificate.value,
        certificate.gradient,
        certificate.solution,
        certificate.adjoint,
        certificate.linear,
    )
    status = _with_doubt(found.status, certificate.status)
    return found, _report(found, certificate.error, status)


def with_guess(gradient: GradientMode, adjoint: Unknown | None) -> GradientMode:
    """The gradient mode, its adjoint solve starting from `adjoint` where there is one."""
    if adjoint is None:
        return gradient
    if not isinstance(gradient, Implicit):
        raise ValueError(
            f"adjoint=... is a warm start of an adjoint solve, and {type(gradient).__name__} has "
            "none. Leave it out, or use gradient=Implicit()."
        )
    return dataclasses.replace(gradient, guess=adjoint)


def as_arguments(
    outer: Outer, problem_fn: ProblemOf, theta: Theta, x0: Unknown
) -> tuple[Outer, ProblemOf]:
    """Both functions with their numbers, and the traced arrays they close over, as array leaves."""
    outer, problem_fn = trees.arrays((outer, problem_fn))
    return hoist_function(outer, theta, x0), hoist_function(problem_fn, theta)


def norm(gradient: Theta) -> Float[Array, ""]:
    """Euclidean norm of a gradient whose structure may hold None."""
    return trees.norm(tree_leaves(gradient))


def _with_doubt(status: Int[Array, ""], certificate: Int[Array, ""]) -> Int[Array, ""]:
    """The status, or why a certificate distrusts a gradient that had none against it.

    SINGULAR made the gradient NaN; anything else leaves no more than its error unknown.
    """
    singular = certificate == Status.SINGULAR
    doubt = jnp.where(singular, Status.SINGULAR, Status.UNCERTAIN)
    doubt = jnp.where(certificate == Status.CONVERGED, status, doubt)
    open_question = (status <= Status.COMPLETED) | (singular & (status == Status.NONFINITE))
    return jnp.where(open_question, doubt, status).astype(jnp.int32)


def _report(found: OuterGradient, error: Array | None, status: Array) -> Report:
    linear: LinearReport | None = found.linear
    return Report(
        status=status,
        residual=found.solution.residual,
        adjoint_residual=None if linear is None else linear.residual,
        error=error,
        steps=found.solution.steps,
        adjoint_steps=jnp.zeros((), jnp.int32) if linear is None else linear.steps,
    )
