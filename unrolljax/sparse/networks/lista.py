"""LISTA: every layer has two full matrices and a threshold (Gregor & LeCun 2010)."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from unrolljax import prox
from unrolljax.sparse.networks.network import LayerState, Network
from unrolljax.sparse.networks.stack import stacked
from unrolljax.sparse.sensing import Recovery, Sensing


class LISTALayer(NamedTuple):
    """Learned numbers; the threshold is positive by its logarithm."""

    analysis: Float[Array, "layers n m"]
    recurrence: Float[Array, "layers n n"]
    log_threshold: Float[Array, " layers"]


class LISTA(Network):
    """`x <- soft(W1 y + W2 x, threshold)`, W1 and W2 learned for each layer."""

    layers: LISTALayer

    @classmethod
    def start(
        cls, sensing: Sensing, depth: int, step_size: ArrayLike, threshold: ArrayLike
    ) -> "LISTA":
        """ISTA: `W1 = step_size A^T` and `W2 = I - W1 A`."""
        analysis = jnp.asarray(step_size, sensing.A.dtype) * sensing.A.T
        recurrence = jnp.eye(sensing.unknowns, dtype=analysis.dtype) - analysis @ sensing.A
        log_threshold = jnp.log(jnp.asarray(threshold, analysis.dtype))
        return cls(stacked(LISTALayer(analysis, recurrence, log_threshold), depth))

    def apply(self, layer: LISTALayer, problem: Recovery, state: LayerState) -> Float[Array, " n"]:
        """One layer."""
        v = layer.analysis @ problem.y + layer.recurrence @ state.x
        return prox.l1(v, jnp.exp(layer.log_threshold))
