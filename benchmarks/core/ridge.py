"""Ridge regression by gradient descent: 500 samples, 100 features, one weight per feature.

The smallest weight is chosen so that gradient descent just converges in the given number of steps.
"""

import jax
import jax.numpy as jnp
import numpy as np

import unrolljax as uj
from benchmarks.core import hand, peers
from benchmarks.core.work import TOLERANCE, Work

SAMPLES, FEATURES = 500, 100


def ridge(steps: int) -> Work:
    """The work item; `theta` is the logarithm of the weights (features,)."""
    rng = np.random.default_rng(0)
    scales = np.geomspace(1, 0.1, FEATURES)
    features, held_out = rng.standard_normal((2, SAMPLES, FEATURES)) * scales
    truth = rng.standard_normal(FEATURES)
    targets, wanted = (m @ truth + rng.standard_normal(SAMPLES) for m in (features, held_out))
    theta = np.full(FEATURES, np.log(20 / steps))
    curvature = np.linalg.norm(features, 2) ** 2 / SAMPLES + 20 / steps
    single = lambda v: jnp.asarray(v, jnp.float32)  # noqa: E731
    data = tuple(map(single, (features, targets, held_out, wanted)))
    step_size, x0 = float(1 / curvature), jnp.zeros(FEATURES, jnp.float32)

    iteration = hand.Iteration(
        step=lambda p, d, x: x - step_size * slope(p, d, x),
        condition=slope,
        linear_solve=hand.conjugate_gradient,
        x0=x0,
        steps=steps,
        tol=TOLERANCE,
    )

    def ours(gradient, stop):
        solver = uj.GradientDescent(step_size)

        def solve(parameters, data):
            problem = uj.Objective(objective, (parameters, data))
            return uj.solve(solver, problem, x0, gradient=gradient, stop=stop).value

        return solve

    return Work(
        title=f"ridge, gradient descent, n={SAMPLES} p={FEATURES}, {steps} steps",
        arguments=(single(theta), data),
        loss=loss,
        iteration=iteration,
        adjoint="cg",
        ours=ours,
        peers=peers.minimisers(lambda x, p, d: objective((p, d), x), step_size, x0, steps),
        reference=lambda: exact(theta, features, targets, held_out, wanted),
    )


def objective(parameters, x):
    """Half the mean squared error and half the weighted squares."""
    log_weights, (features, targets) = parameters
    misfit = features @ x - targets
    return jnp.sum(misfit**2) / (2 * SAMPLES) + jnp.sum(jnp.exp(log_weights) * x**2) / 2


def slope(parameters, data, x):
    """The objective's gradient."""
    return jax.grad(objective, argnums=1)((parameters, data), x)


def loss(solve, theta, data):
    """Mean squared error on the held-out samples."""
    features, targets, held_out, wanted = data
    return jnp.mean((held_out @ solve(theta, (features, targets)) - wanted) ** 2)


def exact(theta, features, targets, held_out, wanted):
    """Gradient of the loss at the minimiser."""
    hessian = features.T @ features / SAMPLES + np.diag(np.exp(theta))
    x = np.linalg.solve(hessian, features.T @ targets / SAMPLES)
    cotangent = 2 * held_out.T @ (held_out @ x - wanted) / SAMPLES
    return -np.linalg.solve(hessian, cotangent) * np.exp(theta) * x
