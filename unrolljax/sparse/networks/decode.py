"""Codes of many measurements at once, after all layers or after each."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from unrolljax.core.solution import Solution
from unrolljax.core.solver import Solver
from unrolljax.core.stop import Stop
from unrolljax.gradients.mode import GradientMode
from unrolljax.gradients.solve import solve
from unrolljax.gradients.unroll import Unroll
from unrolljax.sparse.networks.network import Network
from unrolljax.sparse.sensing import Recovery, SensingOperator


def decode(
    network: Network,
    sensing: SensingOperator,
    y: Float[Array, "batch m"],
    gradient: GradientMode | None = None,
    stop: Stop | None = None,
) -> Solution:
    """The codes (batch, unknowns) of measurements, from zero, with statuses by row.

    By default every layer is applied once and reverse mode goes through all of them. A tied
    network (one layer) is run to its fixed point with a `stop` that has a tolerance.
    """
    gradient = Unroll() if gradient is None else gradient
    stop = Stop(network.depth, tol=None) if stop is None else stop
    start = jnp.zeros(sensing.unknowns, y.dtype)

    def one(y: Float[Array, " m"]) -> Solution:
        return solve(network, Recovery(sensing, y), start, gradient=gradient, stop=stop)

    return jax.vmap(one)(y)


def after_each_layer(
    network: Network, sensing: SensingOperator, y: Float[Array, "batch m"], steps: int | None = None
) -> Float[Array, "layers batch n"]:
    """The codes after each layer, for figures and for training layer by layer."""
    start = jnp.zeros(sensing.unknowns, y.dtype)
    steps = network.depth if steps is None else steps

    def one(y: Float[Array, " m"]) -> Float[Array, "layers n"]:
        return after_each_step(network, Recovery(sensing, y), start, steps)

    return jax.vmap(one, out_axes=1)(y)


def after_each_step(
    solver: Solver, problem: Any, x0: Float[Array, " n"], steps: int
) -> Float[Array, "steps n"]:
    """The unknown after each of so many steps of any solver."""

    def advance(state, _):
        state = solver.step(problem, state)
        return state, solver.read(state)

    return jax.lax.scan(advance, solver.init(problem, x0), length=steps)[1]
