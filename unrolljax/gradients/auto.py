"""The cheapest gradient of a given accuracy, chosen anew in each solve."""

import dataclasses
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.tree_util import tree_leaves, tree_map
from jaxtyping import Array, Float, PyTree

from unrolljax.core import trees
from unrolljax.core.loop import Info, measure
from unrolljax.core.refuse import refuse_derivative
from unrolljax.core.solution import Solution
from unrolljax.core.solver import Problem, Solver, State, Structure
from unrolljax.core.status import Status
from unrolljax.core.stop import Stop, check_tolerance
from unrolljax.gradients.adjoint.theorem import no_cotangent
from unrolljax.gradients.decision import Decision, decide
from unrolljax.gradients.hybrid import HybridReport, pull_back
from unrolljax.gradients.implicit import check_convergence_is_tested, check_on_failure
from unrolljax.gradients.mode import GradientMode, assemble, run_untaped
from unrolljax.gradients.rate import measured_rate
from unrolljax.gradients.series import split

ITERATE_SHARE = 0.25
"""Share of the allowed error that the solution's own error may take."""


class Auto(GradientMode):
    """The cheaper of the adjoint series and the implicit theorem, to an error of `tol`.

    The contraction rate that the solve has shown predicts how many terms the series needs
    (`Truncated`), and how many products a linear solve of the adjoint system (`Implicit`); the
    lesser is taken. Three things are then checked instead of trusted: the solve steps on, within
    `max_steps`, until its own estimated error is a quarter of `tol`; the series ends by its own
    terms, and where it does not end in twice the predicted products the linear solve is done after
    all; that one is refined until its error, not its residual, is below `tol` (`RefinedSolve`).

    - `tol`: relative error of the adjoint, and so of the gradient, to allow. It assumes that the
      parameters do not weigh a badly known part of the adjoint much more than the rest, and that
      the gradient varies with the solution no faster than in proportion.
    - `max_depth`: static; terms of the series at most.
    - `on_failure`: "nan" makes the derivative NaN where the solve, or the estimated error of the
      adjoint, missed its tolerance; "ignore" passes it on.

    `solution.decision` tells what was chosen (`Decision.explain`). A solve that converged by
    `stop`, but not to the accuracy that `tol` needs, has the status MAX_STEPS. The derivative with
    respect to x0 is zero, as in `Implicit`. Reverse mode only; a second derivative raises.
    """

    tol: float | Array = 1e-3
    max_depth: int = eqx.field(default=10_000, static=True)
    on_failure: Literal["nan", "ignore"] = eqx.field(default="nan", static=True)

    def __check_init__(self):
        check_on_failure(self)
        if isinstance(self.tol, float) and not 0 < self.tol < 1:
            raise ValueError(f"Auto(tol={self.tol:g}): a relative error between 0 and 1.")
        if self.max_depth < 1:
            raise ValueError(f"Auto(max_depth={self.max_depth}) must be at least 1.")

    def check(self, solver: Solver, stop: Stop, dtype: Any) -> None:
        """Refuse a tolerance that the dtype cannot reach and a stop without a test."""
        del solver
        check_tolerance(self.tol, dtype, "Auto(tol)")
        check_convergence_is_tested(self, stop)

    def solve(self, solver: Solver, problem: Problem, x0: PyTree[Array], stop: Stop) -> Solution:
        """Step until the solution is good enough, decide, and attach the derivative."""
        state, info, decision = self.run(solver, problem, x0, stop)
        x = trees.stop_gradient(solver).read(state)
        x = self._attach((solver, problem), state, x, decision, info.status == Status.CONVERGED)
        solution = assemble(solver, problem, x, solver.init(problem, x), info)
        decision = refuse_derivative(decision, (solver, problem))
        return dataclasses.replace(solution, decision=decision)

    def run(
        self, solver: Solver, problem: Problem, x0: PyTree[Array], stop: Stop
    ) -> tuple[State, Info, Decision]:
        """The forward pass by itself: the last state, its diagnostics, and the decision."""
        state, info = run_untaped(solver, problem, x0, stop)
        before = info.steps
        solver, problem = trees.stop_gradient((solver, problem))
        if stop.tol is not None:
            state, info = self._step_on(solver, problem, state, info, stop)
        x, rate, error = (
            solver.read(state),
            measured_rate(info),
            _iterate_error(solver, state, info),
        )
        tol = jnp.asarray(self.tol).astype(rate.dtype)
        structure = _structure(solver, problem, x)
        chosen = decide(rate, tol, _real_size(x), structure, solver.differentiable_step)
        return state, info, Decision(*chosen, rate, error, info.steps - before, tol)

    def pull_back(
        self,
        solver: Solver,
        problem: Problem,
        state: State,
        decision: Decision,
        cotangent: PyTree[Array],
    ) -> tuple[Any, HybridReport]:
        """The backward pass by itself, with its report, from what `run` has returned.

        Returns the cotangent of `(solver, problem)` (None where a leaf is no inexact array).
        """
        most = jnp.minimum(2 * decision.products, self.max_depth)
        return pull_back(solver, problem, state, decision, most, cotangent)

    def _step_on(
        self, solver: Solver, problem: Problem, state: State, info: Info, stop: Stop
    ) -> tuple[State, Info]:
        """Further steps of a solve that has converged, until its error is a share of `tol`."""
        end = info.status == Status.CONVERGED

        def good(state, info):
            x_size = trees.norm(solver.read(state)).astype(info.residual.dtype)
            allowed = ITERATE_SHARE * jnp.asarray(self.tol).astype(info.residual.dtype)
            rounding = 10 * jnp.finfo(info.residual.dtype).eps * (1 + x_size)
            near = (_iterate_error(solver, state, info) <= allowed) | (info.residual <= rounding)
            return near & (info.status == Status.CONVERGED)

        def unfinished(carry):
            state, info = carry
            alive = (info.status == Status.CONVERGED) | (info.status == Status.RUNNING)
            return end & alive & ~good(state, info) & (info.steps < stop.max_steps)

        def advance(carry):
            old, info = carry
            new = solver.step(problem, old)
            return new, measure(solver, problem, old, new, info, stop)

        state, info = jax.lax.while_loop(unfinished, advance, (state, info))
        alive = (info.status == Status.CONVERGED) | (info.status == Status.RUNNING)
        missed = end & alive & ~good(state, info)
        status = jnp.where(missed, Status.MAX_STEPS, info.status).astype(jnp.int32)
        return state, info._replace(status=status)

    def _attach(
        self, theta: Any, state: State, x: PyTree[Array], decision: Decision, converged: Array
    ) -> PyTree[Array]:
        """`x`, whose cotangent is pulled back as was decided."""
        theta, last = split(theta), split(state)

        @jax.custom_vjp
        def value(theta_arrays, state_arrays, x, limits):
            del theta_arrays, state_arrays, limits
            return x

        def forward(theta_arrays, state_arrays, x, limits):
            # Recursing makes a second derivative refuse (a while loop) instead of losing terms.
            x = value(theta_arrays, state_arrays, x, limits)
            return x, (theta_arrays, state_arrays, x, limits)

        def backward(saved, cotangent):
            theta_arrays, state_arrays, _, (decision, converged) = saved
            solver, problem = eqx.combine(*theta_arrays, theta.static)
            state = eqx.combine(*state_arrays, last.static)
            bar, report = self.pull_back(solver, problem, state, decision, cotangent)
            if self.on_failure == "nan":
                good = converged & report.enough
                bar = tree_map(lambda v: jnp.where(good, v, jnp.full_like(v, jnp.nan)), bar)
            return (bar, no_cotangent(theta_arrays[1])), *map(no_cotangent, saved[1:])

        value.defvjp(forward, backward)
        return value(theta[:2], last[:2], x, (decision, converged))


def _iterate_error(solver: Solver, state: State, info: Info) -> Float[Array, ""]:
    """Estimated relative error of the solution: the steps still to come, at the measured rate."""
    rate = measured_rate(info)
    size = trees.norm(solver.read(state)).astype(info.residual.dtype)
    ahead = info.residual / jnp.where(rate < 1, 1 - rate, 0)
    return jnp.where(info.residual > 0, ahead / size, 0)


def _structure(solver: Solver, problem: Problem, x: PyTree[Array]) -> Structure:
    """The structure of the condition's Jacobian in the coordinates where it is solved."""
    if solver.support(problem, x) is None:
        return solver.structure(problem)
    return Structure(symmetric=True, positive_definite=True)


def _real_size(x: PyTree[Array]) -> int:
    """How many real unknowns there are."""
    return sum(leaf.size * (2 if jnp.iscomplexobj(leaf) else 1) for leaf in tree_leaves(x))
