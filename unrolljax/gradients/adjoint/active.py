"""The coordinates in which an adjoint system is solved: all, the support, or a gathered support."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.tree_util import tree_leaves, tree_map
from jaxtyping import Array, Bool, PyTree


class Active(NamedTuple):
    """Coordinates of a linear system: `down` restricts a vector to them, `up` extends by zeros.

    `square(A)` is the operator A in these coordinates, the identity in unused places. `fits` is
    False where more coordinates are active than there is room for.
    """

    down: Callable[[PyTree[Array]], PyTree[Array]]
    up: Callable[[PyTree[Array]], PyTree[Array]]
    square: Callable[[Callable], Callable]
    fits: Bool[Array, ""]


def every_coordinate() -> Active:
    """The whole unknown."""
    return Active(lambda v: v, lambda u: u, lambda matvec: matvec, jnp.ones((), bool))


def masked(mask: PyTree[Array]) -> Active:
    """The coordinates where a boolean mask holds, in vectors of full length."""

    def keep(v):
        return tree_map(lambda m, leaf: jnp.where(m, leaf, jnp.zeros_like(leaf)), mask, v)

    def square(matvec):
        return lambda u: tree_map(jnp.where, mask, matvec(keep(u)), u)

    return Active(keep, keep, square, jnp.ones((), bool))


def gathered(mask: PyTree[Array], like: PyTree[Array], capacity: int) -> Active:
    """The coordinates where a boolean mask holds, gathered into a vector of length `capacity`."""
    flat, unravel = ravel_pytree(like)
    flat_mask = jnp.concatenate([jnp.ravel(leaf) for leaf in tree_leaves(mask)])
    count = jnp.sum(flat_mask)
    (places,) = jnp.nonzero(flat_mask, size=capacity, fill_value=flat.size)
    used = places < flat.size

    def down(v):
        return ravel_pytree(v)[0].at[places].get(mode="fill", fill_value=0)

    def up(u):
        # Adding, unlike setting, can be transposed: the fallback on the normal equations does.
        return unravel(jnp.zeros_like(flat).at[places].add(u, mode="drop"))

    def square(matvec):
        return lambda u: jnp.where(used, down(matvec(up(jnp.where(used, u, 0)))), u)

    return Active(down, up, square, count <= capacity)
