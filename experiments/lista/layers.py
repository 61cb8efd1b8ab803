"""The network: a solver with numbers of its own for every step."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

import unrolljax as uj
from experiments.lista.codes import Sensing


class Layers(uj.Solver):
    """`x <- soft(x - step_size W^T (A x - y), threshold)`, with two numbers for each layer."""

    step_size: Float[Array, " layers"]
    log_threshold: Float[Array, " layers"]

    def init(self, problem: Any, x0: Array) -> tuple[Array, Int[Array, ""]]:
        """The code, and the number of the layer."""
        return x0, jnp.zeros((), jnp.int32)

    def step(self, problem: Any, state: tuple) -> tuple[Array, Int[Array, ""]]:
        """One layer."""
        (sensing, y), (x, k) = problem, state
        v = x - self.step_size[k] * (sensing.W.T @ (sensing.A @ x - y))
        return uj.prox.l1(v, jnp.exp(self.log_threshold[k])), k + 1

    def read(self, state: tuple) -> Array:
        """The code."""
        return state[0]


def decode(
    layers: Layers, sensing: Sensing, y: Array, depth: int, gradient: uj.GradientMode
) -> uj.Solution:
    """The codes of measurements, one solve a row, after all layers."""
    start = jnp.zeros(sensing.A.shape[1], y.dtype)

    def one(y: Array) -> uj.Solution:
        stop = uj.Stop(depth, tol=None)
        return uj.solve(layers, (sensing, y), start, gradient=gradient, stop=stop)

    return jax.vmap(one)(y)
