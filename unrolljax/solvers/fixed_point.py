"""Plain fixed-point iteration."""

from collections.abc import Callable

from jaxtyping import Array, PyTree

from unrolljax.core import trees
from unrolljax.core.solver import Problem, Solver


class FixedPoint(Solver):
    """Iterate `x <- map(problem, x)`; the condition is `x - map(problem, x) = 0`.

    Converges where the map contracts. The map must return an unknown like its own.
    """

    map: Callable[[Problem, PyTree[Array]], PyTree[Array]]

    def init(self, problem: Problem, x0: PyTree[Array]) -> PyTree[Array]:
        """The state is the unknown itself."""
        del problem
        return x0

    def step(self, problem: Problem, state: PyTree[Array]) -> PyTree[Array]:
        """Apply the map once."""
        return self.map(problem, state)

    def read(self, state: PyTree[Array]) -> PyTree[Array]:
        """The unknown is the state."""
        return state

    def optimality(self, problem: Problem, x: PyTree[Array]) -> PyTree[Array]:
        """`x - map(problem, x)`."""
        return trees.subtract(x, self.map(problem, x))
