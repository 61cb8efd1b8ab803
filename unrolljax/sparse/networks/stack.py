"""Equal layers, stacked."""

from typing import TypeVar

import jax.numpy as jnp
from jax.tree_util import tree_map

Layer = TypeVar("Layer")


def stacked(layer: Layer, depth: int) -> Layer:
    """The numbers of one layer repeated along a new leading axis; raises unless depth >= 1."""
    if depth < 1:
        raise ValueError(f"A network needs at least one layer; depth={depth}.")
    return tree_map(lambda v: jnp.repeat(jnp.asarray(v)[None], depth, axis=0), layer)
