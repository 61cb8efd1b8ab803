"""Functions that close over traced arrays: their arrays become arguments, so that no derivative
is lost and nothing leaks out of a trace.
"""

from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
from jax.core import Tracer
from jax.tree_util import tree_leaves
from jaxtyping import Array, PyTree

from unrolljax.core.solver import Problem, Solver, State, Structure


class Hoisted(Solver):
    """A solver whose functions carry as leaves the traced arrays that they closed over."""

    init_function: Callable
    step_function: Callable
    read_function: Callable
    optimality_function: Callable
    support_function: Callable
    residual_function: Callable
    objective_function: Callable
    declared: Structure = eqx.field(static=True)
    differentiable: bool = eqx.field(static=True)

    @property
    def differentiable_step(self) -> bool:
        """The hoisted solver's own."""
        return self.differentiable

    def init(self, problem: Problem, x0: PyTree[Array]) -> State:
        """The hoisted solver's own."""
        return self.init_function(problem, x0)

    def step(self, problem: Problem, state: State) -> State:
        """The hoisted solver's own."""
        return self.step_function(problem, state)

    def read(self, state: State) -> PyTree[Array]:
        """The hoisted solver's own."""
        return self.read_function(state)

    def optimality(self, problem: Problem, x: PyTree[Array]) -> PyTree[Array]:
        """The hoisted solver's own."""
        return self.optimality_function(problem, x)

    def structure(self, problem: Problem) -> Structure:
        """The hoisted solver's own."""
        del problem
        return self.declared

    def support(self, problem: Problem, x: PyTree[Array]) -> PyTree[Array] | None:
        """The hoisted solver's own."""
        return self.support_function(problem, x)

    def residual(self, problem: Problem, before: State, after: State) -> PyTree[Array]:
        """The hoisted solver's own."""
        return self.residual_function(problem, before, after)

    def objective(self, problem: Problem, x: PyTree[Array]) -> Array | None:
        """The hoisted solver's own."""
        return self.objective_function(problem, x)


def hoist(solver: Solver, problem: Problem, x0: PyTree[Array]) -> Solver:
    """`solver`, with every traced array that its or the problem's functions close over as a leaf.

    Returned unchanged where no function closes over a traced array.
    """
    if not _closes_over_tracers(_step_and_optimality, solver, problem, x0):
        return solver
    convert = eqx.filter_closure_convert
    init = convert(solver.init, problem, x0)
    state = eqx.filter_eval_shape(init, problem, x0)
    return Hoisted(
        init,
        convert(solver.step, problem, state),
        convert(solver.read, state),
        convert(solver.optimality, problem, x0),
        convert(solver.support, problem, x0),
        convert(solver.residual, problem, state, state),
        convert(solver.objective, problem, x0),
        solver.structure(problem),
        solver.differentiable_step,
    )


def _step_and_optimality(solver: Solver, problem: Problem, x0: PyTree[Array]) -> Any:
    state = solver.step(problem, solver.init(problem, x0))
    return state, solver.optimality(problem, x0)


def hoist_function(function: Callable, *args: Any) -> Callable:
    """`function`, with every traced array that it closes over as a leaf; unchanged if none."""
    if not _closes_over_tracers(function, *args):
        return function
    return eqx.filter_closure_convert(function, *args)


def _closes_over_tracers(function: Callable, *args: Any) -> bool:
    """Trace `function(*args)`, if anything in it has a closure, and look at the constants."""
    if not any(map(_may_close_over_arrays, _functions((function, args)))):
        return False
    dynamic, static = eqx.partition((function, args), eqx.is_array)

    def outputs(dynamic):
        function, args = eqx.combine(dynamic, static)
        return eqx.filter(function(*args), eqx.is_array)

    traced = jax.make_jaxpr(outputs)(dynamic)
    return any(isinstance(constant, Tracer) for constant in traced.consts)


def _functions(tree: PyTree) -> Iterator[Callable]:
    """Every function held in a pytree, in static fields of modules too."""
    for leaf in tree_leaves(tree, is_leaf=lambda v: isinstance(v, eqx.Module)):
        if isinstance(leaf, eqx.Module):
            yield from _functions(list(vars(leaf).values()))
        elif callable(leaf):
            yield leaf


def _may_close_over_arrays(function: Any) -> bool:
    """Whether anything but a plain function without cells and defaults is seen."""
    plain = getattr(function, "__code__", None) is not None
    cells = getattr(function, "__closure__", None)
    return not plain or bool(cells) or bool(getattr(function, "__defaults__", None))
