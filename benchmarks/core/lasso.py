"""Lasso by iterative soft thresholding: 200 samples, 500 features, one penalty per feature."""

import jax
import jax.numpy as jnp
import numpy as np

import unrolljax as uj
from benchmarks.core import hand, peers
from benchmarks.core.work import TOLERANCE, Work

SAMPLES, FEATURES, NONZEROS = 200, 500, 40


def lasso(steps: int) -> Work:
    """The work item; `theta` is the logarithm of the penalties (features,)."""
    rng = np.random.default_rng(0)
    features, held_out = rng.standard_normal((2, SAMPLES, FEATURES)) / np.sqrt(SAMPLES)
    truth = np.where(np.arange(FEATURES) < NONZEROS, rng.choice([-1.0, 1.0], FEATURES), 0)
    noise = 0.1 * rng.standard_normal((2, SAMPLES))
    targets, wanted = features @ truth + noise[0], held_out @ truth + noise[1]
    theta = np.full(FEATURES, np.log(0.1))
    single = lambda v: jnp.asarray(v, jnp.float32)  # noqa: E731
    data = tuple(map(single, (features, targets, held_out, wanted)))
    step_size = float(1 / np.linalg.norm(features, 2) ** 2)
    x0 = jnp.zeros(FEATURES, jnp.float32)

    def step(p, d, x):
        return shrink((p, d), x - step_size * slope(p, d, x), step_size)

    iteration = hand.Iteration(step, stationarity, hand.conjugate_gradient, x0, steps, TOLERANCE)

    def ours(gradient, stop):
        solver = uj.solvers.ProximalGradient(step_size)

        def solve(parameters, data):
            problem = uj.Composite(smooth, shrink, penalty, (parameters, data), support)
            return uj.solve(solver, problem, x0, gradient=gradient, stop=stop).value

        return solve

    return Work(
        title=f"lasso, ISTA, n={SAMPLES} p={FEATURES}, {steps} steps",
        arguments=(single(theta), data),
        loss=loss,
        iteration=iteration,
        adjoint="cg",
        ours=ours,
        peers=peers.proximal(smooth, shrink, step, step_size, x0, steps),
        reference=lambda: exact(theta, features, targets, held_out, wanted),
    )


def smooth(parameters, x):
    """Half the squared error."""
    _, (features, targets) = parameters
    return jnp.sum((features @ x - targets) ** 2) / 2


def slope(parameters, data, x):
    """Gradient of the smooth part."""
    return jax.grad(smooth, argnums=1)((parameters, data), x)


def shrink(parameters, v, step):
    """Soft thresholding, the prox of the penalty."""
    return jnp.sign(v) * jnp.maximum(jnp.abs(v) - step * jnp.exp(parameters[0]), 0)


def penalty(parameters, x):
    """The weighted l1 norm."""
    return jnp.sum(jnp.exp(parameters[0]) * jnp.abs(x))


def support(parameters, x):
    """The features in use."""
    del parameters
    return x != 0


def stationarity(parameters, data, x):
    """Gradient of the objective on the support, x itself elsewhere."""
    masked = jnp.where(x != 0, x, 0)
    inside = slope(parameters, data, masked) + jnp.exp(parameters) * jnp.sign(x)
    return jnp.where(x != 0, inside, x)


def loss(solve, theta, data):
    """Mean squared error on the held-out samples."""
    features, targets, held_out, wanted = data
    return jnp.mean((held_out @ solve(theta, (features, targets)) - wanted) ** 2)


def exact(theta, features, targets, held_out, wanted):
    """Gradient of the loss at the minimiser, whose support long iteration finds."""
    weights, x = np.exp(theta), np.zeros(FEATURES)
    step_size = 1 / np.linalg.norm(features, 2) ** 2
    for _ in range(5_000):
        v = x - step_size * features.T @ (features @ x - targets)
        x = np.sign(v) * np.maximum(np.abs(v) - step_size * weights, 0)
    used = x != 0
    inside = features[:, used]
    cotangent = 2 * held_out[:, used].T @ (held_out @ x - wanted) / SAMPLES
    gradient = np.zeros(FEATURES)
    adjoint = np.linalg.solve(inside.T @ inside, cotangent)
    gradient[used] = -adjoint * weights[used] * np.sign(x[used])
    return gradient
