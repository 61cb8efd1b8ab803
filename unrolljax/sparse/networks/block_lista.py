"""Group LISTA with a learned matrix for each group, and what it saves over dense matrices."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.tree_util import tree_leaves
from jaxtyping import Array, Float, Int

from unrolljax.sparse.networks.hybrid import HybridLayer, HybridLISTA
from unrolljax.sparse.networks.network import LayerState, Network
from unrolljax.sparse.partition import Partition
from unrolljax.sparse.sensing import Recovery, SensingOperator


class BlockLayer(NamedTuple):
    """Learned numbers: the hybrid's, and a matrix for each group, padded to the largest group's."""

    scalars: HybridLayer
    blocks: Float[Array, "layers groups size size"]


class BlockLISTA(Network):
    """The group network `HybridLISTA` with `B W^T (A x - y)` in place of its correlations.

    B is block-diagonal, aligned with the groups, learned for each layer and started from I: with
    the group analytic weight, whose `W_g^T A_g = I`, that is the network of scalars, from which
    training goes on (`from_hybrid`). Groups may have different sizes: blocks are padded with
    numbers that nothing reads.

    - `members`: (groups, size), the entries of each group, padded with the number of unknowns.
    - `places`: (unknowns,), where each entry is in the flattened `members`.
    """

    layers: BlockLayer
    partition: Partition
    members: Int[Array, "groups size"]
    places: Int[Array, " n"]

    @classmethod
    def from_hybrid(cls, network: HybridLISTA, sensing: SensingOperator) -> "BlockLISTA":
        """The network that does what a trained one of scalars does: scalars before matrices."""
        members = _padded(network.partition.members(sensing.unknowns), sensing.unknowns)
        places = np.argsort(members.ravel(), kind="stable")[: sensing.unknowns]
        groups, size = members.shape
        logs = network.layers.log_step
        blocks = jnp.tile(jnp.eye(size, dtype=logs.dtype), (len(logs), groups, 1, 1))
        return cls(
            BlockLayer(network.layers, blocks),
            network.partition,
            jnp.asarray(members, jnp.int32),
            jnp.asarray(places, jnp.int32),
        )

    def apply(self, layer: BlockLayer, problem: Recovery, state: LayerState) -> Float[Array, " n"]:
        """One layer."""
        sensing = _Rescaled(problem.sensing, layer.blocks, self.members, self.places)
        rescaled = Recovery(sensing, problem.y)
        return HybridLISTA(layer.scalars, self.partition).apply(layer.scalars, rescaled, state)


class _Rescaled(SensingOperator):
    """A sensing operator whose correlations are multiplied by B."""

    sensing: SensingOperator
    blocks: Float[Array, "groups size size"]
    members: Int[Array, "groups size"]
    places: Int[Array, " n"]

    def measure(self, x: Float[Array, " n"]) -> Float[Array, " m"]:
        """`A x`."""
        return self.sensing.measure(x)

    def correlate(
        self, residual: Float[Array, " m"], blend: Array | None = None
    ) -> Float[Array, " n"]:
        """`B W^T r`."""
        correlations = self.sensing.correlate(residual, blend)
        grouped = correlations.at[self.members].get(mode="fill", fill_value=0)
        return jnp.einsum("gij,gj->gi", self.blocks, grouped).ravel()[self.places]


def parameter_count(network: Network) -> int:
    """How many numbers a network learns; the padding of blocks does not count."""
    learned = sum(leaf.size for leaf in tree_leaves(network.layers))
    if not isinstance(network, BlockLISTA):
        return learned
    sizes = np.sum(np.asarray(network.members) < network.places.size, axis=1)
    blocks = network.layers.blocks
    return learned - blocks.size + network.depth * int(np.sum(sizes**2))


def _padded(members: list[np.ndarray], unknowns: int) -> np.ndarray:
    """The groups as rows of equal length."""
    longest = max(map(len, members))
    rows = [np.pad(row, (0, longest - len(row)), constant_values=unknowns) for row in members]
    return np.stack(rows)
