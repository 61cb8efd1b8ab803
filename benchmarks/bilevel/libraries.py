"""The same outer run with the implicit gradients of jaxopt and of optimistix, started warm in x.

Neither takes the last adjoint as a start. Both are given L-BFGS and conjugate gradients.
"""

import importlib
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import lineax as lx
import optax

from benchmarks.bilevel.hand import Trajectory
from benchmarks.bilevel.problems import Bilevel

Solve = Callable[[Any, Any], Any]


def jaxopt(problem: Bilevel, data: Any, steps: int, *, optimizer: Any, tol: float) -> Trajectory:
    """`jaxopt.LBFGS` with `implicit_diff`; `tol` is of the gradient and of the adjoint."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library = importlib.import_module("jaxopt")

    def adjoint(matvec, b):
        return library.linear_solve.solve_cg(matvec, b, tol=tol, maxiter=1000)

    solver = library.LBFGS(
        lambda x, theta: problem.inner(theta, x, data),
        maxiter=1000,
        tol=tol,
        implicit_diff=True,
        implicit_diff_solve=adjoint,
    )
    return _run(problem, data, steps, optimizer, lambda theta, x: solver.run(x, theta).params)


def optimistix(
    problem: Bilevel, data: Any, steps: int, *, optimizer: Any, tol: float
) -> Trajectory:
    """`optimistix.minimise` with L-BFGS and `ImplicitAdjoint` by conjugate gradients."""
    library = importlib.import_module("optimistix")
    solver = library.LBFGS(rtol=tol, atol=tol)
    adjoint = library.ImplicitAdjoint(lx.CG(rtol=tol, atol=tol, max_steps=1000))

    def function(x, theta):
        return problem.inner(theta, x, data)

    def solve(theta, x):
        return library.minimise(
            function, solver, x, theta, adjoint=adjoint, max_steps=1000, throw=False,
            tags=frozenset({lx.positive_semidefinite_tag}),
        ).value  # fmt: skip

    return _run(problem, data, steps, optimizer, solve)


def _run(problem: Bilevel, data: Any, steps: int, optimizer: Any, solve: Solve) -> Trajectory:
    def value(theta, x):
        x = solve(theta, jax.lax.stop_gradient(x))
        return problem.outer(theta, x, data), x

    def outer_step(carry, _):
        theta, memory, x = carry
        gradient, x = jax.grad(value, has_aux=True)(theta, x)
        updates, memory = optimizer.update(gradient, memory, theta)
        return (optax.apply_updates(theta, updates), memory, x), theta

    theta = problem.theta0
    start = (theta, optimizer.init(theta), jnp.asarray(problem.x0))
    return jax.lax.scan(outer_step, start, length=steps)[1]
