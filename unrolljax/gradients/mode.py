"""What a gradient mode is: one strategy object, outside every solver."""

from typing import Any

import equinox as eqx
from jaxtyping import Array, PyTree

from unrolljax.core import trees
from unrolljax.core.loop import Info, run
from unrolljax.core.refuse import refuse_derivative
from unrolljax.core.solution import Solution
from unrolljax.core.solver import Problem, Solver, State
from unrolljax.core.stop import Stop


class GradientMode(eqx.Module):
    """How the derivative of a solve is computed. A new mode is one file with one subclass."""

    def solve(self, solver: Solver, problem: Problem, x0: PyTree[Array], stop: Stop) -> Solution:
        """Run the solver and return its solution, differentiable in this mode's way."""
        raise NotImplementedError(f"{type(self).__name__} must define solve.")

    def check(self, solver: Solver, stop: Stop, dtype: Any) -> None:
        """Raise, before anything is traced, where this mode cannot serve the solver or the stop."""
        del solver, stop, dtype

    def _needs_a_differentiable_step(self, solver: Solver) -> None:
        if not solver.differentiable_step:
            raise ValueError(
                f"{type(self).__name__} differentiates the solver's steps, but a step of "
                f"{type(solver).__name__} cannot be differentiated in reverse (it holds a "
                "while loop). Use gradient=Implicit(), which needs only its solution."
            )


def run_untaped(
    solver: Solver, problem: Problem, x0: PyTree[Array], stop: Stop
) -> tuple[State, Info]:
    """Step until `stop` says so, off every differentiated path."""
    solver, problem, x0 = trees.stop_gradient((solver, problem, x0))
    return run(solver, problem, solver.init(problem, x0), stop, taped=False)


def assemble(
    solver: Solver, problem: Problem, value: PyTree[Array], state: State, info: Info
) -> Solution:
    """The solution object; its diagnostics refuse differentiation."""
    info = refuse_derivative(info, (solver, problem))
    return Solution(value, solver.objective(problem, value), state, info)
