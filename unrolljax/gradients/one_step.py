"""One-step differentiation (Jacobian-free backpropagation)."""

from typing import Any

from jaxtyping import Array, PyTree

from unrolljax.core import trees
from unrolljax.core.solution import Solution
from unrolljax.core.solver import Problem, Solver
from unrolljax.core.stop import Stop
from unrolljax.gradients.mode import GradientMode, assemble, run_untaped


class OneStep(GradientMode):
    """The derivative of one further step from the solution, which is held constant.

    Costs one vector-Jacobian product of a step. Its relative error is about the contraction rate
    of the solver: small for Newton steps, large for slow gradient steps (Bolte, Pauwels & Vaiter
    2023; Fung et al. 2022).
    """

    def check(self, solver: Solver, stop: Stop, dtype: Any) -> None:
        """Refuse solvers whose step reverse mode cannot enter."""
        del stop, dtype
        self._needs_a_differentiable_step(solver)

    def solve(self, solver: Solver, problem: Problem, x0: PyTree[Array], stop: Stop) -> Solution:
        """Step until `stop` says so, off every differentiated path; then once more, on it."""
        state, info = run_untaped(solver, problem, x0, stop)
        state = solver.step(problem, trees.stop_gradient(state))
        info = info._replace(steps=info.steps + 1)
        return assemble(solver, problem, solver.read(state), state, info)
