"""Any optax transformation as a solver."""

from typing import Any, NamedTuple

import equinox as eqx
import optax
from jax.tree_util import tree_map
from jaxtyping import Array, PyTree

from unrolljax.core import trees
from unrolljax.core.minimiser import Minimiser
from unrolljax.core.solver import Problem


class OptaxState(NamedTuple):
    """An iterate and the transformation's own state."""

    x: PyTree[Array]
    inner: Any


class Optax(Minimiser):
    """Minimise `problem.objective(x)` by the updates of an optax gradient transformation.

    Build the transformation once, outside the code that calls `solve`: its functions are compared
    by identity. Transformations that want `value`, `grad` and `value_fn` (line searches, L-BFGS)
    get them. A transformation that never settles (Adam with a constant step) ends at MAX_STEPS.

    - `differentiable`: static; whether reverse mode can go through an update (False for
      transformations with a line search, such as `optax.lbfgs()`).

    The condition is a zero gradient; its Jacobian is the Hessian, declared positive definite.
    """

    transformation: optax.GradientTransformation
    differentiable: bool = eqx.field(default=True, static=True)

    @property
    def differentiable_step(self) -> bool:
        """As declared."""
        return self.differentiable

    def init(self, problem: Problem, x0: PyTree[Array]) -> OptaxState:
        """Start with the transformation's initial state."""
        del problem
        return OptaxState(x0, self.transformation.init(x0))

    def step(self, problem: Problem, state: OptaxState) -> OptaxState:
        """One update."""
        slope = trees.gradient(problem.objective, state.x)
        update = optax.with_extra_args_support(self.transformation).update
        updates, inner = update(
            slope,
            state.inner,
            state.x,
            value=problem.objective(state.x),
            grad=slope,
            value_fn=problem.objective,
        )
        x = optax.apply_updates(state.x, updates)
        return OptaxState(tree_map(lambda new, old: new.astype(old.dtype), x, state.x), inner)

    def read(self, state: OptaxState) -> PyTree[Array]:
        """The iterate."""
        return state.x

    def residual(self, problem: Problem, before: OptaxState, after: OptaxState) -> PyTree[Array]:
        """The gradient at which the update was taken: a small step proves nothing."""
        del after
        return self.optimality(problem, before.x)
