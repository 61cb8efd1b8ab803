"""Implicit differentiation: the derivative of the solution, whatever steps led to it."""

from collections.abc import Callable
from typing import Any, Literal

import equinox as eqx
from jaxtyping import Array, PyTree

from unrolljax.core import trees
from unrolljax.core.solution import Solution
from unrolljax.core.solver import Problem, Solver, Structure
from unrolljax.core.status import Status
from unrolljax.core.stop import Stop, check_tolerance
from unrolljax.gradients.adjoint.linear import LinearReport, LinearSolve, check_methods
from unrolljax.gradients.adjoint.theorem import Condition, attach, pull_back
from unrolljax.gradients.mode import GradientMode, assemble, run_untaped


def _as_it_is(theta: tuple[Solver, Problem]) -> tuple[Solver, Problem]:
    return theta


class Implicit(GradientMode):
    """The implicit function theorem at the solution: no tape, one linear solve.

    The derivative with respect to x0 is zero: a solution does not depend on where it was sought.

    - `linear_solver`: "auto", or one of "cg", "bicgstab", "gmres", "dense", "normal_cg", or a
      tuple of them that is tried in turn (`LinearSolve`).
    - `tol`: relative residual of the adjoint system; None chooses by dtype.
    - `max_steps`: iterations that each linear solver may take.
    - `preconditioner`: `(problem, x) -> function` approximating the inverse of the condition's
      Jacobian in x, symmetric positive definite for CG.
    - `guess`: where the adjoint iteration starts, with the structure of x (a warm start).
    - `capacity`: solve on the support, gathered into this many places; None masks instead. It
      serves problems whose solver declares a support (sparse penalties).
    - `ad`: "reverse" (a `custom_vjp`) or "both" (a `custom_jvp` around a transposable solve, for
      `jvp`, `jacfwd` and forward-over-reverse Hessians).
    - `on_failure`: "nan" makes the derivative NaN where the solve or the adjoint solve failed;
      "ignore" passes it on.
    """

    linear_solver: str | tuple[str, ...] = eqx.field(default="auto", static=True)
    tol: float | Array | None = None
    max_steps: int = eqx.field(default=1000, static=True)
    preconditioner: Callable | None = None
    guess: PyTree[Array] | None = None
    capacity: int | None = eqx.field(default=None, static=True)
    ad: Literal["reverse", "both"] = eqx.field(default="reverse", static=True)
    on_failure: Literal["nan", "ignore"] = eqx.field(default="nan", static=True)

    def __check_init__(self):
        check_methods(self.linear_solver)
        if self.ad not in ("reverse", "both"):
            raise ValueError(f"Implicit(ad={self.ad!r}) is unknown. Use 'reverse' or 'both'.")
        check_on_failure(self)
        if self.capacity is not None and self.capacity < 1:
            raise ValueError(f"Implicit(capacity={self.capacity}) must be at least 1, or None.")

    def check(self, solver: Solver, stop: Stop, dtype: Any) -> None:
        """Refuse tolerances that the dtype cannot reach and a stop that tests no convergence."""
        del solver
        check_tolerance(self.tol, dtype, "Implicit(tol)")
        check_convergence_is_tested(self, stop)

    def solve(self, solver: Solver, problem: Problem, x0: PyTree[Array], stop: Stop) -> Solution:
        """Step until `stop` says so, off every differentiated path; then attach the theorem."""
        state, info = run_untaped(solver, problem, x0, stop)
        x = trees.stop_gradient(solver).read(state)
        converged = info.status == Status.CONVERGED
        condition = self.condition(solver.structure(problem))
        nan = self.on_failure == "nan"
        x = attach(condition, (solver, problem), x, converged, self.ad, nan)
        return assemble(solver, problem, x, solver.init(problem, x), info)

    def pull_back(
        self, solver: Solver, problem: Problem, x: PyTree[Array], cotangent: PyTree[Array]
    ) -> tuple[Any, PyTree[Array], LinearReport]:
        """The backward pass by itself, with its report, for loops that want to see it.

        Returns the cotangent of `(solver, problem)` (None where a leaf is no inexact array), the
        adjoint (a later `guess`), and the status, relative residual and steps of its solve.
        """
        mode = trees.arrays(self)
        condition = mode.condition(solver.structure(problem))
        return pull_back(condition, (solver, problem), x, cotangent)

    def condition(
        self, structure: Structure, build: Callable[[Any], tuple[Solver, Problem]] = _as_it_is
    ) -> Condition:
        """The solver's condition as a function of parameters of which `build` makes the pair."""

        def residual(theta, x):
            solver, problem = build(theta)
            return solver.optimality(problem, x)

        def support(theta, x):
            solver, problem = build(theta)
            return solver.support(problem, x)

        def precondition(theta, x):
            return self.preconditioner(build(theta)[1], x)  # pyright: ignore

        return Condition(
            residual=residual,
            structure=structure,
            support=support,
            preconditioner=None if self.preconditioner is None else precondition,
            capacity=self.capacity,
            linear=LinearSolve(check_methods(self.linear_solver), self.tol, self.max_steps),
            guess=self.guess,
        )


def check_on_failure(mode: Any) -> None:
    """Raise on a policy that is neither "nan" nor "ignore"."""
    if mode.on_failure not in ("nan", "ignore"):
        name = type(mode).__name__
        raise ValueError(f"{name}(on_failure={mode.on_failure!r}) is unknown: 'nan' or 'ignore'.")


def check_convergence_is_tested(mode: Any, stop: Stop) -> None:
    """Raise where a gradient that is right only at a solution meets a stop that never tests."""
    if stop.tol is None and mode.on_failure == "nan":
        name = type(mode).__name__
        raise ValueError(
            f"{name} is right only at a solution, but Stop(tol=None) tests no convergence. Set "
            f"Stop(tol=...), or {name}(on_failure='ignore') to pass the gradient on regardless."
        )
