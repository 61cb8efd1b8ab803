"""A deep equilibrium layer z = tanh(W z + U x + b): 512 units, a batch of 64 as one unknown."""

import jax.numpy as jnp
import numpy as np

import unrolljax as uj
from benchmarks.core import hand, peers
from benchmarks.core.work import TOLERANCE, Work

BATCH, UNITS, INPUTS, NORM = 64, 512, 128, 0.82


def equilibrium(steps: int) -> Work:
    """The work item; `theta` is (W, U, b), the unknown has shape (batch, units)."""
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((UNITS, UNITS))
    weights *= NORM / np.linalg.norm(weights, 2)
    theta = (weights, 0.3 * rng.standard_normal((UNITS, INPUTS)) / np.sqrt(INPUTS), np.zeros(UNITS))
    inputs = rng.standard_normal((BATCH, INPUTS))
    readout = rng.standard_normal((BATCH, UNITS)) / BATCH
    single = lambda v: jnp.asarray(v, jnp.float32)  # noqa: E731
    x0 = jnp.zeros((BATCH, UNITS), jnp.float32)

    def residual(parameters, data, z):
        return z - layer(parameters, data, z)

    iteration = hand.Iteration(layer, residual, hand.bicgstab, x0, steps, TOLERANCE)

    def ours(gradient, stop):
        solver = uj.FixedPoint(lambda parameters, z: layer(parameters, None, z))

        def solve(parameters, data):
            del data
            return uj.solve(solver, parameters, x0, gradient=gradient, stop=stop).value

        return solve

    return Work(
        title=f"z = tanh(W z + U x + b), d={UNITS}, batch {BATCH}, {steps} steps",
        arguments=(tuple(map(single, theta)), (single(inputs), single(readout))),
        loss=loss,
        iteration=iteration,
        adjoint="bicgstab",
        ours=ours,
        peers=peers.fixed_points(layer, x0, steps),
        reference=lambda: exact(theta, inputs, readout),
    )


def layer(parameters, data, z):
    """The map of one step; its parameters are W and the injected U x + b."""
    del data
    weights, injected = parameters
    return jnp.tanh(z @ weights.T + injected)


def loss(solve, theta, data):
    """A fixed linear function of the equilibrium."""
    weights, from_inputs, bias = theta
    inputs, readout = data
    injected = inputs @ from_inputs.T + bias[None]
    return jnp.sum(readout * solve((weights, injected), None))


def exact(theta, inputs, readout):
    """Gradient of the loss at the equilibrium, one dense adjoint system per element."""
    weights, from_inputs, bias = theta
    injected = inputs @ from_inputs.T + bias
    z = np.zeros_like(injected)
    for _ in range(300):
        z = np.tanh(z @ weights.T + injected)
    gain = 1 - z**2
    systems = np.eye(UNITS) - gain[:, :, None] * weights
    adjoint = np.linalg.solve(np.swapaxes(systems, 1, 2), readout[:, :, None])[:, :, 0] * gain
    return adjoint.T @ z, adjoint.T @ inputs, adjoint.sum(0)
