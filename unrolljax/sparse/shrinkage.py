"""Shrinkage with support selection: the largest groups pass whole, the others are shrunk."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from unrolljax.sparse.partition import Partition

BISECTIONS = 24
"""Halvings of the interval of magnitudes: enough to tell entries apart in float32."""

FAR = 1e3
"""Multiples of the threshold at which a gate is as good as 1."""


def select_and_shrink(
    v: Float[Array, " n"], threshold: Array, count: Array, partition: Partition
) -> Float[Array, " n"]:
    """Groups above the threshold are kept, the `count` largest whole, the others shrunk by it.

    Support selection of LISTA-CPSS (Chen et al. 2018, eq. 14): `count` is a (real) number of
    groups; which groups are selected has no derivative.
    """
    norms = partition.norms(v)
    active = norms > threshold
    selected = norms > magnitude_of_rank(norms, count)
    shrunk = 1 - threshold / jnp.where(active, norms, 1)
    factor = jnp.where(selected, jnp.ones_like(norms), shrunk)
    return v * partition.spread(jnp.where(active, factor, 0))


def magnitude_of_rank(norms: Float[Array, " groups"], count: Array) -> Float[Array, ""]:
    """A magnitude that at most `count` entries exceed, the smallest up to bisection's accuracy.

    Bisection on counts needs no sort: on CPU, GPU and TPU it beats `top_k` by far. No derivative.
    """
    norms = jax.lax.stop_gradient(norms)

    def halve(_, interval):
        low, high = interval
        middle = (low + high) / 2
        too_many = jnp.sum(norms > middle).astype(count.dtype) > count
        return jnp.where(too_many, middle, low), jnp.where(too_many, high, middle)

    start = (jnp.zeros((), norms.dtype), jnp.max(norms))
    # Without selection the answer is where the search starts.
    halvings = jnp.where(count > 0, BISECTIONS, 0)
    return jax.lax.fori_loop(0, halvings, halve, start)[1]


def gate(
    v: Float[Array, " n"], threshold: Array, sharpness: Array, partition: Partition
) -> Float[Array, " n"]:
    """Groups scaled by `sigmoid(sharpness * (norm^2 / threshold^2 - 1))`.

    The shrinkage of a Bernoulli-Gaussian prior (Borgerding et al. 2017, eq. 40) without its
    Wiener factor: smooth, zero at zero, the identity far above the threshold.
    """
    ratio = relative(partition.norms(v), threshold)
    return v * partition.spread(jax.nn.sigmoid(sharpness * (ratio**2 - 1)))


def relative(norms: Float[Array, " groups"], threshold: Array) -> Float[Array, " groups"]:
    """`norms / threshold`, at most `FAR`; derivatives are finite where both are zero."""
    # Derivatives divide by the square of the threshold, which must not underflow.
    smallest = math.sqrt(jnp.finfo(norms.dtype).tiny)
    return jnp.minimum(norms / jnp.maximum(threshold, smallest), FAR)
