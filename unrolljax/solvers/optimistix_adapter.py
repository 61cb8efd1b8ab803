"""Any iterative optimistix solver as a solver (the `optimistix` extra)."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
from jaxtyping import Array, PyTree

from unrolljax.core import trees
from unrolljax.core.solver import Problem, Solver, Structure


class OptimistixState(NamedTuple):
    """An iterate and the arrays of optimistix's state."""

    x: PyTree[Array]
    inner: Any


class Optimistix(Solver):
    """Steps of an optimistix solver, in this package's loop.

    Minimisers get `problem.objective`, least-squares solvers and root finders
    `problem.residuals`. Its own termination and adjoint are not used; `Stop` and the gradient mode
    are. Import errors name the extra to install.

    The condition is a zero gradient (declared positive definite) or a zero residual.
    """

    solver: Any

    @property
    def differentiable_step(self) -> bool:
        """False: descents and line searches may loop."""
        return False

    def init(self, problem: Problem, x0: PyTree[Array]) -> OptimistixState:
        """Start with optimistix's initial state."""
        return OptimistixState(x0, eqx.filter(self._begin(problem, x0), eqx.is_array))

    def step(self, problem: Problem, state: OptimistixState) -> OptimistixState:
        """One optimistix step."""
        # What is no array in its state does not change from step to step: take it from the start.
        shapes = eqx.filter_eval_shape(lambda x: self._begin(problem, x), state.x)
        static = eqx.filter(shapes, lambda v: isinstance(v, jax.ShapeDtypeStruct), inverse=True)
        inner = eqx.combine(state.inner, static)
        function = self._function(problem)
        x, inner, _ = self.solver.step(function, state.x, None, {}, inner, frozenset())
        return OptimistixState(x, eqx.filter(inner, eqx.is_array))

    def read(self, state: OptimistixState) -> PyTree[Array]:
        """The last accepted iterate."""
        return state.x

    def optimality(self, problem: Problem, x: PyTree[Array]) -> PyTree[Array]:
        """The gradient of the objective, or the residuals for a root finder."""
        if self._finds_roots():
            return problem.residuals(x)
        return trees.gradient(problem.objective, x)

    def structure(self, problem: Problem) -> Structure:
        """A Hessian at a strict minimum, nothing for a root."""
        del problem
        minimises = not self._finds_roots()
        return Structure(symmetric=minimises, positive_definite=minimises)

    def residual(
        self, problem: Problem, before: OptimistixState, after: OptimistixState
    ) -> PyTree[Array]:
        """The condition itself: a small or rejected step proves nothing."""
        del before
        return self.optimality(problem, after.x)

    def _begin(self, problem: Problem, x0: PyTree[Array]) -> Any:
        function = self._function(problem)
        shape = jax.eval_shape(lambda x: function(x, None)[0], x0)
        return self.solver.init(function, x0, None, {}, shape, None, frozenset())

    def _function(self, problem: Problem) -> Any:
        optimistix = _import_optimistix()
        if isinstance(self.solver, optimistix.AbstractMinimiser):
            return lambda x, _: (problem.objective(x), None)
        return lambda x, _: (problem.residuals(x), None)

    def _finds_roots(self) -> bool:
        return isinstance(self.solver, _import_optimistix().AbstractRootFinder)


def _import_optimistix() -> Any:
    try:
        import optimistix
    except ImportError as error:
        raise ImportError(
            "The Optimistix solver needs optimistix: pip install 'unrolljax[optimistix]'."
        ) from error
    return optimistix
