"""SLISTA: the steps of ISTA, learned (Ablin et al. 2019)."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from unrolljax.sparse.networks.network import LayerState, Network
from unrolljax.sparse.networks.stack import stacked
from unrolljax.sparse.partition import Entries, Partition
from unrolljax.sparse.sensing import Recovery
from unrolljax.sparse.shrinkage import select_and_shrink


class SLISTALayer(NamedTuple):
    """Learned numbers, positive by their logarithm."""

    log_step: Float[Array, " layers"]


class SLISTA(Network):
    """`x <- shrink(x - step A^T (A x - y), step * weight)`: ISTA on the lasso, faster.

    Its fixed point for any steps is the solution of the lasso with that weight, so it may be
    trained without true codes, on the lasso's objective.
    """

    layers: SLISTALayer
    weight: float | Array
    partition: Partition = Entries()

    @classmethod
    def start(
        cls,
        depth: int,
        step_size: ArrayLike,
        weight: float | Array,
        partition: Partition | None = None,
        dtype=jnp.float32,
    ) -> "SLISTA":
        """Equal steps."""
        layer = SLISTALayer(jnp.log(jnp.asarray(step_size, dtype)))
        return cls(stacked(layer, depth), weight, partition or Entries())

    def apply(self, layer: SLISTALayer, problem: Recovery, state: LayerState) -> Float[Array, " n"]:
        """One layer."""
        step = jnp.exp(layer.log_step)
        v = state.x - step * problem.sensing.transpose(problem.residual(state.x))
        return select_and_shrink(v, step * self.weight, jnp.zeros_like(step), self.partition)
