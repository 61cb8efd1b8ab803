"""GLISTA: gates that mend LISTA's codes, too small and too slow (Wu et al. 2020)."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from unrolljax.sparse.networks.network import LayerState, Network
from unrolljax.sparse.networks.selection import Selection
from unrolljax.sparse.networks.stack import stacked
from unrolljax.sparse.partition import Entries
from unrolljax.sparse.sensing import Recovery, Sensing
from unrolljax.sparse.shrinkage import select_and_shrink


class GLISTALayer(NamedTuple):
    """Learned numbers; all but the weight are positive by their logarithms."""

    weight: Float[Array, "layers m n"]
    log_threshold: Float[Array, " layers"]
    log_gain: Float[Array, " layers"]
    log_decay: Float[Array, " layers"]
    log_overshoot: Float[Array, " layers"]


class GLISTA(Network):
    """A coupled layer between a gain gate and an overshoot gate.

    The gain gate enlarges the code that enters a layer, `x (1 + gain threshold exp(-decay |x|))`,
    since soft thresholding leaves codes too small by up to the threshold. The overshoot gate goes
    beyond the code that leaves it, `x + (1 + overshoot / (|dx| + 0.1)) dx` with dx the layer's
    move, in the entries in use.
    """

    layers: GLISTALayer
    selection: Selection = Selection()

    @classmethod
    def start(
        cls,
        sensing: Sensing,
        depth: int,
        threshold: ArrayLike,
        selection: Selection | None = None,
    ) -> "GLISTA":
        """The analytic weight, and gates nearly closed."""
        numbers = (threshold, 1.0, 1.0, 1e-3)
        logs = (jnp.log(jnp.asarray(number, sensing.W.dtype)) for number in numbers)
        return cls(stacked(GLISTALayer(sensing.W, *logs), depth), selection or Selection())

    def apply(self, layer: GLISTALayer, problem: Recovery, state: LayerState) -> Float[Array, " n"]:
        """One layer."""
        threshold = jnp.exp(layer.log_threshold)
        decay = jnp.exp(-jnp.exp(layer.log_decay) * jnp.abs(state.x))
        x = state.x * (1 + jnp.exp(layer.log_gain) * threshold * decay)
        v = x - layer.weight.T @ problem.residual(x)
        count = self.selection.count(state.layer, v.size, v.dtype)
        shrunk = select_and_shrink(v, threshold, count, Entries())
        move = shrunk - state.x
        beyond = jnp.exp(layer.log_overshoot) / (jnp.abs(move) + 0.1)
        return jnp.where(shrunk != 0, state.x + (1 + beyond) * move, 0)
