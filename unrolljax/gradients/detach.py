"""No gradient through the solve."""

from jaxtyping import Array, PyTree

from unrolljax.core import trees
from unrolljax.core.solution import Solution
from unrolljax.core.solver import Problem, Solver
from unrolljax.core.stop import Stop
from unrolljax.gradients.mode import GradientMode, assemble, run_untaped


class Detach(GradientMode):
    """The solution as a constant: every derivative through the solve is zero, by request."""

    def solve(self, solver: Solver, problem: Problem, x0: PyTree[Array], stop: Stop) -> Solution:
        """Step until `stop` says so, off every differentiated path."""
        solver, problem, x0 = trees.stop_gradient((solver, problem, x0))
        state, info = run_untaped(solver, problem, x0, stop)
        return assemble(solver, problem, solver.read(state), state, info)
