"""What all learned networks share: layers stacked along a leading axis, run by the one loop."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.tree_util import tree_leaves, tree_map
from jaxtyping import Array, Float, Int

from unrolljax.core import trees
from unrolljax.core.solver import Solver
from unrolljax.sparse.sensing import Recovery


class LayerState(NamedTuple):
    """The code, the code before, what a network remembers of the start, and the layer's number."""

    x: Float[Array, " n"]
    previous: Float[Array, " n"]
    memory: Any
    layer: Int[Array, ""]


class Network(Solver):
    """A learned solver of `Recovery` problems: step k applies layer k.

    `layers` holds the learned numbers, each with a leading axis of layers. Steps after the last
    layer repeat it. A network of one layer is tied: it may run to its fixed point, where
    `Implicit` differentiates it; one with several is unrolled, all of it or a truncated part.
    """

    layers: eqx.AbstractVar[Any]

    @property
    def depth(self) -> int:
        """Number of layers."""
        return tree_leaves(self.layers)[0].shape[0]

    def apply(self, layer: Any, problem: Recovery, state: LayerState) -> Float[Array, " n"]:
        """The code after one layer; `layer` holds that layer's numbers."""
        raise NotImplementedError(f"{type(self).__name__} must define apply.")

    def remember(self, problem: Recovery, x0: Float[Array, " n"]) -> Any:
        """What later layers need to know of the start."""
        del problem, x0

    def init(self, problem: Recovery, x0: Float[Array, " n"]) -> LayerState:
        """Before the first layer."""
        return LayerState(x0, x0, self.remember(problem, x0), jnp.zeros((), jnp.int32))

    def step(self, problem: Recovery, state: LayerState) -> LayerState:
        """One layer; after the last one, the last one again."""
        k = jnp.minimum(state.layer, self.depth - 1)
        layer = tree_map(lambda v: jax.lax.dynamic_index_in_dim(v, k, keepdims=False), self.layers)
        x = self.apply(layer, problem, state)
        return LayerState(x, state.x, state.memory, state.layer + 1)

    def read(self, state: LayerState) -> Float[Array, " n"]:
        """The code."""
        return state.x

    def optimality(self, problem: Recovery, x: Float[Array, " n"]) -> Float[Array, " n"]:
        """`x - layer(x)` with the last layer, which is what further steps repeat."""
        last = self.init(problem, x)._replace(layer=jnp.asarray(self.depth - 1, jnp.int32))
        return trees.subtract(x, self.read(self.step(problem, last)))
