"""Proximal gradient: ISTA, and FISTA with restart."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jax.tree_util import tree_leaves
from jaxtyping import Array, Float, PyTree

from unrolljax.core import trees
from unrolljax.core.solver import Problem, Solver


class ProximalState(NamedTuple):
    """An iterate, the point from which the next step starts, and FISTA's inertia."""

    x: PyTree[Array]
    at: PyTree[Array]
    inertia: Float[Array, ""]


class ProximalGradient(Solver):
    """Minimise `smooth(x) + penalty(x)` by `x <- prox(x - step_size * gradient, step_size)`.

    - `step_size`: below 2/L for ISTA, at most 1/L for FISTA, L the Lipschitz constant of smooth's
      gradient.
    - `accelerated`: FISTA's extrapolation (Beck & Teboulle 2009), restarted whenever it points
      uphill (O'Donoghue & Candes 2015).

    The condition is `x - prox(x - step_size * gradient, step_size) = 0`; where the problem declares
    a support, it is the gradient of smooth + penalty on that support.
    """

    step_size: float | Array
    accelerated: bool = eqx.field(default=False, static=True)

    def init(self, problem: Problem, x0: PyTree[Array]) -> ProximalState:
        """Start without inertia."""
        del problem
        return ProximalState(x0, x0, jnp.ones((), trees.norm(x0).dtype))

    def step(self, problem: Problem, state: ProximalState) -> ProximalState:
        """One forward-backward step, and FISTA's extrapolation."""
        x = self._forward_backward(problem, state.at)
        if not self.accelerated:
            return ProximalState(x, x, state.inertia)
        uphill = trees.real_dot(trees.subtract(state.at, x), trees.subtract(x, state.x)) > 0
        inertia = jnp.where(uphill, 1, state.inertia)
        following = (1 + jnp.sqrt(1 + 4 * inertia**2)) / 2
        weight = jnp.where(uphill, 0, (inertia - 1) / following)
        return ProximalState(x, trees.add_scaled(x, weight, trees.subtract(x, state.x)), following)

    def read(self, state: ProximalState) -> PyTree[Array]:
        """The iterate."""
        return state.x

    def optimality(self, problem: Problem, x: PyTree[Array]) -> PyTree[Array]:
        """The prox fixed point, or the gradient on the support where one is declared."""
        if self.support(problem, x) is None:
            return trees.subtract(x, self._forward_backward(problem, x))
        return trees.gradient(lambda v: problem.smooth(v) + problem.penalty(v), x)

    def support(self, problem: Problem, x: PyTree[Array]) -> PyTree[Array] | None:
        """The problem's own, if it declares one."""
        return problem.support(x) if hasattr(problem, "support") else None

    def residual(
        self, problem: Problem, before: ProximalState, after: ProximalState
    ) -> PyTree[Array]:
        """The fixed-point residual at the point from which the step was taken."""
        del problem
        return trees.subtract(before.at, after.x)

    def _forward_backward(self, problem: Problem, x: PyTree[Array]) -> PyTree[Array]:
        slope = trees.gradient(problem.smooth, x)
        return problem.prox(trees.add_scaled(x, -self.step_size, slope), self._step_like(x))

    def _step_like(self, x: PyTree[Array]) -> Array:
        """The step in the precision of x, so that a prox may multiply with it."""
        return jnp.asarray(self.step_size).astype(jnp.finfo(tree_leaves(x)[0].dtype).dtype)
