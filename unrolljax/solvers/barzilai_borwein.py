"""Gradient descent with the step sizes of Barzilai and Borwein."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.tree_util import tree_map
from jaxtyping import Array, Float, PyTree

from unrolljax.core import trees
from unrolljax.core.minimiser import Minimiser
from unrolljax.core.solver import Problem
from unrolljax.solvers.line_search import negligible


class BarzilaiBorweinState(NamedTuple):
    """An iterate, the one before with its gradient, and the shortest step size so far."""

    x: PyTree[Array]
    last_x: PyTree[Array]
    last_slope: PyTree[Array]
    shortest: Float[Array, ""]


class BarzilaiBorwein(Minimiser):
    """Minimise `problem.objective(x)` by gradient steps sized by the last change of the gradient.

    With s the last displacement and y the change of the gradient along it, the step size is the
    shorter one of Barzilai & Borwein (1988), s.y / y.y, between 1/L and 1/m. It is |s| / |y| where
    s.y is not positive, and the shortest so far where s is rounding error. No displacement is
    longer than 1 + |x|, which stabilises the steps (Burdakov, Dai & Huang 2019). The longer
    step size, s.s / s.y, is not offered: reverse mode through its steps is unstable.

    - `step_size`: the first one, about 1/L or less.

    The condition is a zero gradient; its Jacobian is the Hessian, declared positive definite.
    Step sizes, the first included, carry no derivative: it would be multiplied by the gradient,
    zero at a solution.
    """

    step_size: float | Array

    def init(self, problem: Problem, x0: PyTree[Array]) -> BarzilaiBorweinState:
        """Start with no displacement behind."""
        del problem
        shortest = jnp.asarray(self.step_size).astype(trees.norm(x0).dtype)
        return BarzilaiBorweinState(x0, x0, tree_map(jnp.zeros_like, x0), shortest)

    def step(self, problem: Problem, state: BarzilaiBorweinState) -> BarzilaiBorweinState:
        """One gradient step."""
        x = state.x
        slope = trees.gradient(problem.objective, x)
        size = trees.stop_gradient(self._step_size(state, slope))
        moved = trees.add_scaled(x, -trees.stop_gradient(_bounded(size, slope, x)), slope)
        return BarzilaiBorweinState(moved, x, slope, jnp.minimum(state.shortest, size))

    def read(self, state: BarzilaiBorweinState) -> PyTree[Array]:
        """The iterate."""
        return state.x

    def _step_size(self, state: BarzilaiBorweinState, slope: PyTree[Array]) -> Array:
        """The inverse of a curvature along the last displacement, always positive."""
        s = trees.subtract(state.x, state.last_x)
        y = trees.subtract(slope, state.last_slope)
        ss, sy, yy = trees.real_dot(s, s), trees.real_dot(s, y), trees.real_dot(y, y)
        turned = yy > 0
        size = jnp.where(sy > 0, sy, jnp.sqrt(ss * yy)) / jnp.where(turned, yy, 1)
        return jnp.where(turned & ~negligible(s, state.x), size, state.shortest)


def _bounded(size: Array, slope: PyTree[Array], x: PyTree[Array]) -> Array:
    """The step size, or the one with which the displacement has length 1 + |x|."""
    height, reach = trees.norm(slope), 1 + trees.norm(x)
    return jnp.where(size * height > reach, reach / jnp.where(height > 0, height, 1), size)
