"""256 independent roots of M x + x^3 = c in 8 dimensions, by vmapped Newton steps."""

import jax
import jax.numpy as jnp
import numpy as np

import unrolljax as uj
from benchmarks.core import hand, peers
from benchmarks.core.work import TOLERANCE, Work

BATCH, DIMENSION = 256, 8


def roots(steps: int) -> Work:
    """The work item; `theta` is c (batch, dimension), M is shared."""
    rng = np.random.default_rng(0)
    matrix = np.eye(DIMENSION) + 0.2 * rng.standard_normal((DIMENSION, DIMENSION))
    theta = 3 * rng.standard_normal((BATCH, DIMENSION))
    readout = rng.standard_normal((BATCH, DIMENSION))
    single = lambda v: jnp.asarray(v, jnp.float32)  # noqa: E731
    x0 = jnp.ones(DIMENSION, jnp.float32)
    iteration = hand.Iteration(newton_step, residuals, hand.dense, x0, steps, TOLERANCE)

    def ours(gradient, stop):
        solver = uj.solvers.NewtonRoot(damped=False)

        def solve(parameters, data):
            problem = uj.Residuals(lambda p, x: residuals(p[0], p[1], x), (parameters, data))
            return uj.solve(solver, problem, x0, gradient=gradient, stop=stop).value

        return solve

    return Work(
        title=f"{BATCH} vmapped Newton roots, dimension {DIMENSION}, {steps} steps",
        arguments=(single(theta), (single(matrix), single(readout))),
        loss=loss,
        iteration=iteration,
        adjoint="dense",
        ours=ours,
        peers=peers.root_finders(residuals, newton_step, x0, steps),
        reference=lambda: exact(theta, matrix, readout),
    )


def residuals(parameters, data, x):
    """Zero at the root."""
    return data @ x + x**3 - parameters


def newton_step(parameters, data, x):
    """A full Newton step with a dense Jacobian."""
    jacobian = jax.jacfwd(residuals, argnums=2)(parameters, data, x)
    return x - jnp.linalg.solve(jacobian, residuals(parameters, data, x))


def loss(solve, theta, data):
    """A fixed linear function of all the roots."""
    matrix, readout = data
    return jnp.sum(readout * jax.vmap(solve, in_axes=(0, None))(theta, matrix))


def exact(theta, matrix, readout):
    """Gradient of the loss at the roots."""
    x = np.ones_like(theta)
    for _ in range(100):
        jacobians = matrix + 3 * x[:, :, None] ** 2 * np.eye(DIMENSION)
        misfit = x @ matrix.T + x**3 - theta
        x = x - np.linalg.solve(jacobians, misfit[:, :, None])[:, :, 0]
    jacobians = matrix + 3 * x[:, :, None] ** 2 * np.eye(DIMENSION)
    return np.linalg.solve(np.swapaxes(jacobians, 1, 2), readout[:, :, None])[:, :, 0]
