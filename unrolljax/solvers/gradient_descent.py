"""Gradient descent with a fixed step, plain or with Polyak or Nesterov momentum."""

from typing import Literal, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jax.tree_util import tree_map
from jaxtyping import Array, PyTree

from unrolljax.core import trees
from unrolljax.core.minimiser import Minimiser
from unrolljax.core.solver import Problem


class GradientState(NamedTuple):
    """An iterate and its velocity (the last displacement; None without momentum)."""

    x: PyTree[Array]
    velocity: PyTree[Array] | None


class GradientDescent(Minimiser):
    """Minimise `problem.objective(x)` by `x <- x - step_size * gradient + momentum * velocity`.

    - `step_size`: converges for strongly convex objectives below 2/L (1/L with momentum).
    - `momentum`: in [0, 1); None for none. With curvatures in [m, L], s = sqrt L + sqrt m and
      d = sqrt L - sqrt m, the best heavy-ball numbers are step 4 / s^2 and momentum (d / s)^2.
    - `kind`: "polyak" takes the gradient at x (Polyak 1964), "nesterov" at the extrapolated point
      (Nesterov 1983).

    The condition is a zero gradient; its Jacobian is the Hessian, declared positive definite.
    """

    step_size: float | Array
    momentum: float | Array | None = None
    kind: Literal["polyak", "nesterov"] = eqx.field(default="polyak", static=True)

    def init(self, problem: Problem, x0: PyTree[Array]) -> GradientState:
        """Start at rest."""
        del problem
        return GradientState(x0, None if self.momentum is None else tree_map(jnp.zeros_like, x0))

    def step(self, problem: Problem, state: GradientState) -> GradientState:
        """One gradient step."""
        x, velocity = state
        if self.momentum is None:
            slope = trees.gradient(problem.objective, x)
            return GradientState(trees.add_scaled(x, -self.step_size, slope), None)
        drift = trees.scale(self.momentum, velocity)
        at = trees.add(x, drift) if self.kind == "nesterov" else x
        slope = trees.gradient(problem.objective, at)
        velocity = trees.add_scaled(drift, -self.step_size, slope)
        return GradientState(trees.add(x, velocity), velocity)

    def read(self, state: GradientState) -> PyTree[Array]:
        """The iterate."""
        return state.x
