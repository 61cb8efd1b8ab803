"""Numbers that differ from layer to layer: a leading axis, of which step k takes entry k."""

from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.tree_util import tree_leaves, tree_map
from jaxtyping import Array, Int

Layers = TypeVar("Layers")


class PerLayer(eqx.Module):
    """Denoisers that differ from layer to layer, as the prior of a `Restoration`.

    - `layers`: a denoiser whose inexact arrays all have a leading axis of layers.
    """

    layers: Any

    @classmethod
    def repeat(cls, denoiser: Any, depth: int) -> "PerLayer":
        """Equal denoisers: where the training of untied ones starts. Raises unless depth >= 1."""
        if depth < 1:
            raise ValueError(f"PerLayer.repeat(depth={depth}) must be at least 1.")

        def copies(v):
            return jnp.repeat(v[None], depth, axis=0) if eqx.is_inexact_array(v) else v

        return cls(tree_map(copies, denoiser))

    @property
    def depth(self) -> int:
        """Number of layers."""
        return next(v.shape[0] for v in tree_leaves(self.layers) if eqx.is_inexact_array(v))

    def at(self, k: Int[Array, ""] | int) -> Any:
        """The denoiser of layer k; the last one after it."""
        return tree_map(lambda v: _entry(v, k) if eqx.is_inexact_array(v) else v, self.layers)


def layer_of(numbers: Layers, k: Int[Array, ""] | int) -> Layers:
    """`numbers` with entry k of every vector (its last entry after that); scalars are shared."""
    return tree_map(lambda v: _entry(v, k) if jnp.ndim(v) else jnp.asarray(v), numbers)


def depths(numbers: Any) -> set[int]:
    """The lengths of the vectors among some numbers."""
    return {jnp.shape(v)[0] for v in tree_leaves(numbers) if jnp.ndim(v)}


def _entry(v: Array, k: Int[Array, ""] | int) -> Array:
    v = jnp.asarray(v)
    return jax.lax.dynamic_index_in_dim(v, jnp.minimum(k, v.shape[0] - 1), keepdims=False)
