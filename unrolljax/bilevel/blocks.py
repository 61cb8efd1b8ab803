"""A sum over samples as a sum over blocks of them, and tables of the blocks' last terms (SAGA)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import tree_flatten_with_path, tree_leaves, tree_map
from jaxtyping import Array, Bool, Int, PyTree

Samples = PyTree[Array]
Terms = PyTree[Array]


class Table(NamedTuple):
    """The last term of every block (leading axis: blocks), and their mean."""

    terms: Terms
    mean: Terms


def in_blocks(data: Samples, size: int, name: str) -> Samples:
    """The samples with a leading axis of blocks of `size`, in their order.

    Raises ValueError where the samples cannot be cut into such blocks.
    """
    leaves = tree_flatten_with_path(data)[0]
    counts = {jnp.shape(leaf)[0] if jnp.ndim(leaf) else 0 for _, leaf in leaves}
    if len(counts) != 1 or 0 in counts:
        raise ValueError(f"{name}: every array must have the same leading axis, of the samples.")
    (count,) = counts
    if size < 1 or count % size:
        raise ValueError(
            f"{name} has {count} samples, which batches of {size} do not divide: their mean would "
            "not be the mean of the samples. Choose another batch size, or leave samples out."
        )
    return tree_map(lambda leaf: jnp.reshape(leaf, (-1, size, *leaf.shape[1:])), data)


def count(blocks: Samples) -> int:
    """How many blocks there are."""
    return tree_leaves(blocks)[0].shape[0]


def pick(blocks: PyTree[Array], number: Int[Array, ""]) -> PyTree[Array]:
    """One block, or one row of a table."""
    return tree_map(lambda leaf: jax.lax.dynamic_index_in_dim(leaf, number, keepdims=False), blocks)


def fill(function: Any, blocks: Samples) -> Table:
    """The table of `function(block)`: one pass over the data."""
    terms = jax.lax.map(function, blocks)
    return Table(terms, tree_map(lambda leaf: jnp.mean(leaf, axis=0), terms))


def reduce_variance(table: Table, number: Int[Array, ""], term: Terms) -> Terms:
    """`term - old term + mean`: unbiased, and exact once the terms settle.

    Defazio, Bach & Lacoste-Julien 2014 (SAGA), equation 7.
    """
    old = pick(table.terms, number)
    return tree_map(lambda new, old, mean: new - old + mean, term, old, table.mean)


def remember(table: Table, number: Int[Array, ""], term: Terms, keep: Bool[Array, ""]) -> Table:
    """The table with a block's new term, where `keep` holds; the mean moves by its share."""
    old = pick(table.terms, number)
    term = tree_map(lambda new, old: jnp.where(keep, new, old), term, old)
    blocks = count(table.terms)
    mean = tree_map(lambda mean, new, old: mean + (new - old) / blocks, table.mean, term, old)
    terms = tree_map(lambda rows, new: rows.at[number].set(new), table.terms, term)
    return Table(terms, mean)
