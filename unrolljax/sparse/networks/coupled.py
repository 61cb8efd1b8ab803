"""LISTA-CP and LISTA-CPSS: one learned matrix and threshold a layer (Chen et al. 2018)."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from unrolljax.sparse.networks.alista import ALISTA
from unrolljax.sparse.networks.network import LayerState, Network
from unrolljax.sparse.networks.selection import Selection
from unrolljax.sparse.networks.stack import stacked
from unrolljax.sparse.partition import Entries, Partition
from unrolljax.sparse.sensing import Recovery, Sensing
from unrolljax.sparse.shrinkage import select_and_shrink


class CoupledLayer(NamedTuple):
    """Learned numbers; the threshold is positive by its logarithm."""

    weight: Float[Array, "layers m n"]
    log_threshold: Float[Array, " layers"]


class CoupledLISTA(Network):
    """`x <- shrink(x - W^T (A x - y), threshold)`, W learned for each layer.

    The coupling `W2 = I - W1 A` is necessary for convergence (Chen et al. 2018, theorem 1).
    Without selection it is LISTA-CP, with it LISTA-CPSS.
    """

    layers: CoupledLayer
    selection: Selection = Selection()
    partition: Partition = Entries()

    @classmethod
    def start(
        cls,
        sensing: Sensing,
        depth: int,
        step_size: ArrayLike,
        threshold: ArrayLike,
        selection: Selection | None = None,
        partition: Partition | None = None,
    ) -> "CoupledLISTA":
        """ISTA: `W = step_size A`."""
        weight = jnp.asarray(step_size, sensing.A.dtype) * sensing.A
        layer = CoupledLayer(weight, jnp.log(jnp.asarray(threshold, weight.dtype)))
        return cls(stacked(layer, depth), selection or Selection(), partition or Entries())

    @classmethod
    def from_alista(cls, network: ALISTA, sensing: Sensing) -> "CoupledLISTA":
        """The network that does what a trained ALISTA does: scalars before matrices."""
        steps = jnp.exp(network.layers.log_step)
        weight = jnp.einsum("k,mn->kmn", steps, sensing.W)
        layers = CoupledLayer(weight, network.layers.log_threshold)
        return cls(layers, network.selection, network.partition)

    def apply(
        self, layer: CoupledLayer, problem: Recovery, state: LayerState
    ) -> Float[Array, " n"]:
        """One layer."""
        v = state.x - layer.weight.T @ problem.residual(state.x)
        groups = self.partition.norms(v).size
        count = self.selection.count(state.layer, groups, v.dtype)
        return select_and_shrink(v, jnp.exp(layer.log_threshold), count, self.partition)
