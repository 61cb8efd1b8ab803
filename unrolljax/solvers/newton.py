"""Newton's method for minimisation, with a dense Hessian or with Hessian-vector products."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from unrolljax.core.minimiser import Minimiser
from unrolljax.core.solver import Problem
from unrolljax.solvers.line_search import backtracking
from unrolljax.solvers.real_vector import closed_constant, to_vector

Vector = Float[Array, " n"]
Matrix = Float[Array, "n n"]
Function = Callable[[Array], Array]


class NewtonState(NamedTuple):
    """An iterate and the full Newton step, as a real vector, that was computed on the way to it."""

    x: PyTree[Array]
    direction: Vector


class Newton(Minimiser):
    """Minimise `problem.objective(x)` by Newton steps and a backtracking line search.

    - `linear_solver`: "dense" factorises the Hessian, shifted where it is not positive definite
      (Nocedal & Wright 2006, algorithm 3.3); "cg" needs its products with vectors only, in
      conjugate gradients that end at a direction of negative curvature (algorithm 7.1).
    - `inner_tol`: relative residual that the conjugate gradients reach, 10 eps at the least.
    - `max_inner_steps`: static; iterations of the conjugate gradients at most.

    The condition is a zero gradient; its Jacobian is the Hessian, declared positive definite. The
    loop stops on the full Newton step, not on the one that the line search shortened. Hessian and
    step length carry no derivative: it would be multiplied by the gradient, zero at a solution.
    """

    linear_solver: Literal["dense", "cg"] = eqx.field(default="dense", static=True)
    inner_tol: float | Array = 1e-8
    max_inner_steps: int = eqx.field(default=500, static=True)

    def __check_init__(self):
        if self.linear_solver not in ("dense", "cg"):
            raise ValueError(f"Newton(linear_solver={self.linear_solver!r}): use 'dense' or 'cg'.")

    def init(self, problem: Problem, x0: PyTree[Array]) -> NewtonState:
        """Start at `x0`; no direction is known."""
        del problem
        return NewtonState(x0, jnp.zeros_like(to_vector(x0)[0]))

    def step(self, problem: Problem, state: NewtonState) -> NewtonState:
        """One Newton step, shortened until it lowers the objective."""
        v, back = to_vector(state.x)

        def function(u):
            return problem.objective(back(u))

        value, slope = jax.value_and_grad(function)(v)
        if self.linear_solver == "dense":
            direction = _solve_dense(function, v, -slope)
        else:
            direction = self._solve_by_products(function, v, -slope)
        length = backtracking(function, v, direction, value, slope @ direction)
        return NewtonState(back(v + length * direction), direction)

    def read(self, state: NewtonState) -> PyTree[Array]:
        """The iterate."""
        return state.x

    def residual(self, problem: Problem, before: NewtonState, after: NewtonState) -> Vector:
        """The full Newton step from `before`, which estimates its error."""
        del problem, before
        return after.direction

    def _solve_by_products(self, function: Function, v: Vector, b: Vector) -> Vector:
        """The inverse of the Hessian, constant to derivatives, times b."""
        at = jax.lax.stop_gradient(v)
        product = closed_constant(lambda u: jax.jvp(jax.grad(function), (at,), (u,))[1], at)

        def solve(matvec, rhs):
            return _conjugate_gradients(matvec, rhs, self.inner_tol, self.max_inner_steps)

        return jax.lax.custom_linear_solve(product, b, solve, symmetric=True)


def _solve_dense(function: Function, v: Vector, b: Vector) -> Vector:
    """The inverse of the Hessian, shifted where need be and constant to derivatives, times b."""
    factor = _positive_definite_factor(jax.lax.stop_gradient(jax.hessian(function)(v)))
    return jax.scipy.linalg.cho_solve((factor, True), b)


def _positive_definite_factor(hessian: Matrix) -> Matrix:
    """Cholesky factor of the Hessian plus the least shift tried that makes it positive definite.

    The shifts are 0, then 1e-4 to 10 times the Frobenius norm, which exceeds any eigenvalue.
    """
    size = jnp.linalg.norm(hessian)
    identity = jnp.eye(hessian.shape[0], dtype=hessian.dtype)

    def indefinite(carry):
        factor, power = carry
        return ~jnp.all(jnp.isfinite(factor)) & (power <= 1)

    def shift_more(carry):
        _, power = carry
        shift = size * 10.0 ** power.astype(hessian.dtype)
        return jnp.linalg.cholesky(hessian + shift * identity), power + 1

    start = (jnp.linalg.cholesky(hessian), jnp.asarray(-4, jnp.int32))
    return jax.lax.while_loop(indefinite, shift_more, start)[0]


def _conjugate_gradients(matvec, b: Vector, tol: float | Array, max_steps: int) -> Vector:
    """Solve `A u = b` to a relative residual, or up to a direction of negative curvature.

    Where the very first direction, b itself, has no positive curvature, the result is b.
    """
    tol = jnp.maximum(jnp.asarray(tol).astype(b.dtype), 10 * jnp.finfo(b.dtype).eps)
    enough = tol**2 * (b @ b)

    def unfinished(carry):
        _, _, _, square, steps, convex = carry
        return (square > enough) & (steps < max_steps) & convex

    def advance(carry):
        u, r, p, square, steps, _ = carry
        Ap = matvec(p)
        convex = p @ Ap > 0
        length = jnp.where(convex, square / jnp.where(convex, p @ Ap, 1), 0)
        u, r = u + length * p, r - length * Ap
        new_square = r @ r
        u = jnp.where(convex | (steps > 0), u, b)
        return u, r, r + (new_square / square) * p, new_square, steps + 1, convex

    start = (jnp.zeros_like(b), b, b, b @ b, jnp.zeros((), jnp.int32), jnp.ones((), bool))
    return jax.lax.while_loop(unfinished, advance, start)[0]
