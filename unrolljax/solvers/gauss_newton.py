"""Damped Gauss-Newton (Levenberg-Marquardt) for nonlinear least squares."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from unrolljax.core import trees
from unrolljax.core.solver import Problem, Solver, Structure
from unrolljax.solvers.line_search import negligible
from unrolljax.solvers.real_vector import to_vector


class GaussNewtonState(NamedTuple):
    """An iterate, the damping of the next step, and the last step scaled to no damping."""

    x: PyTree[Array]
    damping: Float[Array, ""]
    direction: Float[Array, " n"]


class GaussNewton(Solver):
    """Minimise half the sum of squares of `problem.residuals(x)`, a pytree of any size.

    Each step solves `(J^T J + damping diag(J^T J)) s = -J^T r`; where s lowers the objective it
    is taken and the damping falls tenfold, else the damping rises tenfold (Marquardt 1963).

    - `damping`: where the damping starts; a pure number.

    The condition is a zero gradient `J^T r`; its Jacobian is the Hessian, declared positive
    definite. The loop stops on `(1 + damping) s`, which is in the units of x whatever the
    damping: the Gauss-Newton step without any, the gradient over `diag(J^T J)` with much.
    The matrix and the damping carry no derivative: it would be multiplied by the gradient, zero
    at a solution.
    """

    damping: float | Array = 1e-3

    def init(self, problem: Problem, x0: PyTree[Array]) -> GaussNewtonState:
        """Start at `x0`; no direction is known."""
        del problem
        v = to_vector(x0)[0]
        return GaussNewtonState(x0, jnp.asarray(self.damping).astype(v.dtype), jnp.zeros_like(v))

    def step(self, problem: Problem, state: GaussNewtonState) -> GaussNewtonState:
        """One step, taken or refused."""
        v, back = to_vector(state.x)
        damping = jax.lax.stop_gradient(state.damping)

        def residuals(u):
            return to_vector(problem.residuals(back(u)))[0]

        def half_square(u):
            return residuals(u) @ residuals(u) / 2

        jacobian = jax.lax.stop_gradient(jax.jacfwd(residuals)(v))
        value, slope = jax.value_and_grad(half_square)(v)
        move = -jax.scipy.linalg.cho_solve(_damped_factor(jacobian, damping), slope)
        rounding = 1 + 10 * jnp.finfo(v.dtype).eps
        taken = (half_square(v + move) <= rounding * value) | negligible(move, v)
        moved = jnp.where(taken, v + move, v)
        return GaussNewtonState(back(moved), _adapt(damping, taken), (1 + damping) * move)

    def read(self, state: GaussNewtonState) -> PyTree[Array]:
        """The iterate."""
        return state.x

    def optimality(self, problem: Problem, x: PyTree[Array]) -> PyTree[Array]:
        """The gradient of half the sum of squares."""

        def half_square(u):
            r = problem.residuals(u)
            return trees.real_dot(r, r) / 2

        return trees.gradient(half_square, x)

    def structure(self, problem: Problem) -> Structure:
        """A Hessian at a strict minimum."""
        del problem
        return Structure(symmetric=True, positive_definite=True)

    def residual(
        self, problem: Problem, before: GaussNewtonState, after: GaussNewtonState
    ) -> Float[Array, " n"]:
        """The step tried from `before`, freed of its damping."""
        del problem, before
        return after.direction


def _damped_factor(jacobian: Array, damping: Array) -> tuple[Array, bool]:
    """Cholesky factor of `J^T J + damping diag(J^T J)`, with ones for zeros of the diagonal."""
    normal = jacobian.T @ jacobian
    diagonal = jnp.diagonal(normal)
    diagonal = jnp.where(diagonal > 0, diagonal, 1)
    return jax.scipy.linalg.cho_factor(normal + damping * jnp.diag(diagonal), lower=True)


def _adapt(damping: Array, taken: Array) -> Array:
    """A tenth of the damping after a step that was taken, else ten times it, within bounds."""
    least = jnp.finfo(damping.dtype).eps ** 0.75
    return jnp.clip(jnp.where(taken, damping / 10, damping * 10), least, 1 / least)
