"""Columns of a matrix gathered into a buffer of static width."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

BISECTIONS = 50
"""Halvings of an interval of scores: enough to part any two that float32 can tell apart."""


class Columns(NamedTuple):
    """Which columns a buffer holds.

    - `places`: their numbers, ascending; the number of columns where a place is unused.
    - `used`: whether a place holds a column.
    - `fits`: whether all that had to be held are.
    """

    places: Int[Array, " capacity"]
    used: Bool[Array, " capacity"]
    fits: Bool[Array, ""]

    def matrix(self, A: Float[Array, "m n"]) -> Float[Array, "capacity m"]:
        """The columns as rows (contiguous, as products with them want), zero where unused."""
        rows = jax.vmap(lambda j: A[:, jnp.minimum(j, A.shape[1] - 1)])(self.places)
        return jnp.where(self.used[:, None], rows, 0)

    def gather(self, v: Float[Array, " n"], fill: float = 0.0) -> Float[Array, " capacity"]:
        """The entries of a vector, `fill` where unused."""
        return v.at[self.places].get(mode="fill", fill_value=fill)

    def scatter(self, u: Float[Array, " capacity"], size: int) -> Float[Array, " n"]:
        """The vector of length `size` with these entries, zero elsewhere."""
        return jnp.zeros((size,), u.dtype).at[self.places].set(u, mode="drop")


def hold(mask: Bool[Array, " n"], capacity: int) -> Columns:
    """The columns where a mask holds; the first `capacity` of them if they do not fit."""
    (places,) = jnp.nonzero(mask, size=capacity, fill_value=mask.size)
    return Columns(places, places < mask.size, jnp.sum(mask) <= capacity)


def choose(kept: Bool[Array, " n"], score: Float[Array, " n"], capacity: int) -> Columns:
    """The columns that must be kept, and of the others those of the largest positive score.

    A threshold is found by bisection on the counts, which takes a tenth of the time of a sort.
    """
    score = jnp.where(kept | ~(score > 0), 0, score)
    room = capacity - jnp.sum(kept)

    def halve(_, bounds):
        low, high = bounds
        middle = (low + high) / 2
        fits = jnp.sum(score > middle) <= room
        return jnp.where(fits, low, middle), jnp.where(fits, middle, high)

    start = (jnp.zeros((), score.dtype), jnp.max(score))
    low, high = jax.lax.fori_loop(0, BISECTIONS, halve, start)
    everything = jnp.sum(score > 0) <= room
    chosen = score > jnp.where(everything, low, high)
    columns = hold(kept | chosen, capacity)
    return columns._replace(fits=room >= 0)
