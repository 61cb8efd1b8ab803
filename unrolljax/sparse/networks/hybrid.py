"""The hybrid: HyperLISTA's adaptive rules with four learned numbers a layer, and a smooth gate."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from unrolljax.sparse.networks.network import LayerState, Network
from unrolljax.sparse.networks.stack import stacked
from unrolljax.sparse.partition import Entries, Partition
from unrolljax.sparse.sensing import Recovery
from unrolljax.sparse.shrinkage import gate, relative


class HybridLayer(NamedTuple):
    """Learned numbers, positive by their logarithms; `blend` is absent in the four-number form."""

    log_step: Float[Array, " layers"]
    log_threshold: Float[Array, " layers"]
    log_momentum: Float[Array, " layers"]
    log_sharpness: Float[Array, " layers"]
    log_blend: Float[Array, " layers"] | None = None


class HybridLISTA(Network):
    """`v = x - step W^T (A x - y) + momentum u (x - x_before)`, `x <- gate(v, threshold s)`.

    s = mean |W^T (A x - y)|, and u is the share of groups in use, `x^2 / (x^2 + (threshold s)^2)`
    summed smoothly. All rules adapt to the measurements, so that one network serves noise and
    sparsity that differ from case to case; the gate has a derivative everywhere, which support
    selection lacks: 64 numbers train in seconds. With `blend` a fifth number a layer replaces
    W by `(1 - blend) W + blend A`: the analytic weight amplifies noise, A does not.
    """

    layers: HybridLayer
    partition: Partition = Entries()

    @classmethod
    def start(
        cls,
        depth: int,
        partition: Partition | None = None,
        blended: bool = False,
        dtype=jnp.float32,
    ) -> "HybridLISTA":
        """Equal layers that already recover codes: the start of training."""
        numbers = (1.1, 4.0, 1.2, 3.0) + ((0.1,) if blended else ())
        layer = HybridLayer(*(jnp.log(jnp.asarray(number, dtype)) for number in numbers))
        return cls(stacked(layer, depth), partition or Entries())

    def apply(self, layer: HybridLayer, problem: Recovery, state: LayerState) -> Float[Array, " n"]:
        """One layer."""
        blend = None if layer.log_blend is None else jnp.exp(layer.log_blend)
        slope = problem.sensing.correlate(problem.residual(state.x), blend)
        threshold = jnp.exp(layer.log_threshold) * jnp.mean(jnp.abs(slope))
        in_use = _smooth_share(self.partition.norms(state.x), threshold)
        momentum = jnp.exp(layer.log_momentum) * in_use
        v = state.x - jnp.exp(layer.log_step) * slope + momentum * (state.x - state.previous)
        return gate(v, threshold, jnp.exp(layer.log_sharpness), self.partition)


def _smooth_share(norms: Float[Array, " groups"], threshold: Array) -> Float[Array, ""]:
    """About the share of norms above the threshold."""
    squares = relative(norms, threshold) ** 2
    return jnp.mean(squares / (squares + 1))
