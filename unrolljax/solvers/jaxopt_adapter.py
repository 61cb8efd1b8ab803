"""Any iterative jaxopt solver as a solver; jaxopt is imported by the user, not here."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jax.tree_util import tree_map
from jaxtyping import Array, PyTree

from unrolljax.core.solver import Problem, Solver, Structure


class JaxoptState(NamedTuple):
    """jaxopt's parameters and state."""

    x: PyTree[Array]
    inner: Any


class Jaxopt(Solver):
    """Steps of the jaxopt solver that `make(problem)` builds, in this package's loop.

    For example `Jaxopt(lambda problem: jaxopt.LBFGS(problem.objective))`. Its own
    stopping, unrolling and implicit differentiation are not used; `Stop` and the gradient mode are.

    - `make`: from the problem to a jaxopt solver with `init_state`, `update`, `optimality_fun`.
    - `declared`: static; what is known of the Jacobian of its `optimality_fun`, for example
      `Structure(symmetric=True, positive_definite=True)` for an unconstrained minimiser.
    - `differentiable`: static; whether reverse mode can go through `update` (True for fixed steps,
      False for while-loop line searches).
    """

    make: Callable[[Problem], Any]
    declared: Structure = eqx.field(default=Structure(), static=True)
    differentiable: bool = eqx.field(default=False, static=True)

    @property
    def differentiable_step(self) -> bool:
        """As declared."""
        return self.differentiable

    def init(self, problem: Problem, x0: PyTree[Array]) -> JaxoptState:
        """Start with jaxopt's initial state."""
        return tree_map(jnp.asarray, JaxoptState(x0, self.make(problem).init_state(x0)))

    def step(self, problem: Problem, state: JaxoptState) -> JaxoptState:
        """One jaxopt update, in the dtypes of the state that it came from."""
        x, inner = self.make(problem).update(state.x, state.inner)
        return tree_map(lambda new, old: jnp.asarray(new, old.dtype), JaxoptState(x, inner), state)

    def read(self, state: JaxoptState) -> PyTree[Array]:
        """The parameters that jaxopt moves."""
        return state.x

    def optimality(self, problem: Problem, x: PyTree[Array]) -> PyTree[Array]:
        """The condition that jaxopt states."""
        return self.make(problem).optimality_fun(x)

    def structure(self, problem: Problem) -> Structure:
        """As declared."""
        del problem
        return self.declared

    def residual(self, problem: Problem, before: JaxoptState, after: JaxoptState) -> PyTree[Array]:
        """The condition itself: a small or rejected step proves nothing."""
        del before
        return self.optimality(problem, after.x)
