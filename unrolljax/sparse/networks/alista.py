"""ALISTA: analytic weights, two learned numbers for each layer (Liu et al. 2019)."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from unrolljax.sparse.networks.network import LayerState, Network
from unrolljax.sparse.networks.selection import Selection
from unrolljax.sparse.networks.stack import stacked
from unrolljax.sparse.partition import Entries, Partition
from unrolljax.sparse.sensing import Recovery
from unrolljax.sparse.shrinkage import select_and_shrink


class ALISTALayer(NamedTuple):
    """Learned numbers; both are positive by their logarithms."""

    log_step: Float[Array, " layers"]
    log_threshold: Float[Array, " layers"]


class ALISTA(Network):
    """`x <- shrink(x - step W^T (A x - y), threshold)` with support selection.

    `partition` makes it the group network: norms of groups are shrunk and selected.
    """

    layers: ALISTALayer
    selection: Selection = Selection()
    partition: Partition = Entries()

    @classmethod
    def start(
        cls,
        depth: int,
        step_size: ArrayLike = 1.0,
        threshold: ArrayLike = 0.1,
        selection: Selection | None = None,
        partition: Partition | None = None,
        dtype=jnp.float32,
    ) -> "ALISTA":
        """Equal layers."""
        layer = ALISTALayer(
            *(jnp.log(jnp.asarray(number, dtype)) for number in (step_size, threshold))
        )
        return cls(stacked(layer, depth), selection or Selection(), partition or Entries())

    def apply(self, layer: ALISTALayer, problem: Recovery, state: LayerState) -> Float[Array, " n"]:
        """One layer."""
        slope = problem.sensing.correlate(problem.residual(state.x))
        v = state.x - jnp.exp(layer.log_step) * slope
        groups = self.partition.norms(v).size
        count = self.selection.count(state.layer, groups, v.dtype)
        return select_and_shrink(v, jnp.exp(layer.log_threshold), count, self.partition)
