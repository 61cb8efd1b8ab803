"""The condition that all solvers of smooth unconstrained problems share."""

from jaxtyping import Array, PyTree

from unrolljax.core import trees
from unrolljax.core.solver import Problem, Solver, Structure


class Minimiser(Solver):
    """A solver that minimises `problem.objective(x)`: the gradient is zero at its solution.

    The Jacobian of that condition is the Hessian, declared positive definite: a strict minimum.
    """

    def optimality(self, problem: Problem, x: PyTree[Array]) -> PyTree[Array]:
        """The gradient of the objective."""
        return trees.gradient(problem.objective, x)

    def structure(self, problem: Problem) -> Structure:
        """A Hessian at a strict minimum."""
        del problem
        return Structure(symmetric=True, positive_definite=True)
