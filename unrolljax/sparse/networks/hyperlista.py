"""HyperLISTA: three constants instead of layers (Chen et al. 2021)."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from unrolljax.sparse.networks.network import LayerState, Network
from unrolljax.sparse.partition import Entries, Partition
from unrolljax.sparse.sensing import Recovery
from unrolljax.sparse.shrinkage import select_and_shrink


class HyperConstants(NamedTuple):
    """The three constants, positive by their logarithms, with an axis of one layer."""

    log_threshold: Float[Array, " 1"]
    log_momentum: Float[Array, " 1"]
    log_support: Float[Array, " 1"]


class HyperLISTA(Network):
    """`x <- shrink(x - W^T (A x - y) + momentum (x - x_before), threshold)`, all by residual.

    With s = mean |W^T (A x - y)|, s0 its value at x = 0 and three constants c (eqs. 16-18; the
    analytic weight gives the pseudo-inverse's correlations up to a factor):

    - threshold `c1 s`,
    - momentum `c2` times the share of groups that are not zero,
    - support selection of `c3 log(s0 / s)` of all groups.
    """

    layers: HyperConstants
    partition: Partition = Entries()

    @classmethod
    def start(
        cls, constants: ArrayLike, partition: Partition | None = None, dtype=jnp.float32
    ) -> "HyperLISTA":
        """From the three constants (threshold, momentum, support)."""
        logs = jnp.log(jnp.asarray(constants, dtype))
        return cls(HyperConstants(*logs[:, None]), partition or Entries())

    def remember(self, problem: Recovery, x0: Float[Array, " n"]) -> Float[Array, ""]:
        """The scale of the correlations at x = 0."""
        del x0
        return jnp.mean(jnp.abs(problem.sensing.correlate(problem.y)))

    def apply(
        self, layer: HyperConstants, problem: Recovery, state: LayerState
    ) -> Float[Array, " n"]:
        """One layer."""
        slope = problem.sensing.correlate(problem.residual(state.x))
        scale = jnp.mean(jnp.abs(slope))
        momentum = jnp.exp(layer.log_momentum) * share_in_use(state.x, self.partition)
        v = state.x - slope + momentum * (state.x - state.previous)
        smallest = jnp.finfo(v.dtype).tiny
        progress = jnp.log(jnp.maximum(state.memory, smallest) / jnp.maximum(scale, smallest))
        share = jnp.clip(jnp.exp(layer.log_support) * progress, 0, 1)
        threshold = jnp.exp(layer.log_threshold) * scale
        return select_and_shrink(v, threshold, share * self.partition.norms(v).size, self.partition)


def share_in_use(x: Float[Array, " n"], partition: Partition) -> Float[Array, ""]:
    """The share of groups that are not zero."""
    norms = partition.norms(x)
    return jnp.mean((norms > 0).astype(norms.dtype))
