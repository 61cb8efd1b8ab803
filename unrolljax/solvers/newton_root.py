"""Newton's method for a square system of equations."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from unrolljax.core.solver import Problem, Solver, Structure
from unrolljax.gradients.adjoint.linear import DENSE_SIZE, LinearSolve, check_methods
from unrolljax.solvers.line_search import backtracking
from unrolljax.solvers.newton import NewtonState
from unrolljax.solvers.real_vector import closed_constant, to_vector

Vector = Float[Array, " n"]


class NewtonRoot(Solver):
    """Find x with `problem.residuals(x) = 0`, residuals with the structure of x, by damped Newton.

    - `linear_solver`: how a Newton step is solved: "auto" (LU up to 64 real unknowns, then
      matrix-free), or as for `Implicit(linear_solver=...)`.
    - `inner_tol`: relative residual of a matrix-free solve; None chooses by dtype.
    - `max_inner_steps`: static; iterations of a matrix-free solve at most.

    - `damped`: static; a backtracking line search lowers the squared norm of the residuals
      (Dennis & Schnabel 1996, section 6.5). Without it, each step is Newton's own.

    The loop stops on the full Newton step. Jacobian and step length carry no
    derivative: it would be multiplied by the residuals, zero at a solution.
    """

    linear_solver: str | tuple[str, ...] = eqx.field(default="auto", static=True)
    inner_tol: float | Array | None = None
    max_inner_steps: int = eqx.field(default=500, static=True)
    damped: bool = eqx.field(default=True, static=True)

    def __check_init__(self):
        check_methods(self.linear_solver)

    def init(self, problem: Problem, x0: PyTree[Array]) -> NewtonState:
        """Start at `x0`; no direction is known."""
        del problem
        return NewtonState(x0, jnp.zeros_like(to_vector(x0)[0]))

    def step(self, problem: Problem, state: NewtonState) -> NewtonState:
        """One Newton step, shortened until it lowers the norm of the residuals."""
        v, back = to_vector(state.x)

        def residuals(u):
            return to_vector(problem.residuals(back(u)))[0]

        def half_square(u):
            return residuals(u) @ residuals(u) / 2

        here = residuals(v)
        direction = self._solve(residuals, v, -here)
        if not self.damped:
            return NewtonState(back(v + direction), direction)
        length = backtracking(half_square, v, direction, here @ here / 2, -(here @ here))
        return NewtonState(back(v + length * direction), direction)

    def read(self, state: NewtonState) -> PyTree[Array]:
        """The iterate."""
        return state.x

    def optimality(self, problem: Problem, x: PyTree[Array]) -> PyTree[Array]:
        """The residuals."""
        return problem.residuals(x)

    def residual(self, problem: Problem, before: NewtonState, after: NewtonState) -> Vector:
        """The full Newton step from `before`, which estimates its error."""
        del problem, before
        return after.direction

    def _solve(self, residuals: Callable[[Vector], Vector], v: Vector, b: Vector) -> Vector:
        """The inverse of the Jacobian, constant to derivatives, times b."""
        at = jax.lax.stop_gradient(v)
        if self.linear_solver == "auto" and v.size <= DENSE_SIZE:
            return jnp.linalg.solve(jax.lax.stop_gradient(jax.jacfwd(residuals)(at)), b)
        product = closed_constant(lambda u: jax.jvp(residuals, (at,), (u,))[1], at)
        methods = check_methods(self.linear_solver)
        linear = LinearSolve(methods, self.inner_tol, self.max_inner_steps)
        return linear(product, b, Structure())[0]
