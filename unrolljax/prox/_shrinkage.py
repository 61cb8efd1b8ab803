"""Division by norms that may vanish: the factor by which the operator of a norm shrinks."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float


def shrinkage(
    norm: Float[Array, "*shape"], threshold: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """max(0, 1 - threshold / norm), with finite derivatives at a norm of zero.

    At `norm == threshold` the derivative is the one from above, so that a threshold of zero is
    the identity for every norm, zero included. Norms whose square underflows count as zero.
    """
    active = norm >= threshold
    # An inactive or vanishing divisor would send inf * 0 back through the where.
    divisor = jnp.where(active & (norm > smallest_divisor(norm)), norm, 1)
    return jnp.where(active, 1 - threshold / divisor, 0)


def smallest_divisor(x: Float[Array, "*shape"]) -> float:
    """The smallest number of x's precision whose square, by which derivatives divide, is normal."""
    return math.sqrt(jnp.finfo(x.dtype).tiny)
