"""Euclidean projections onto convex sets: the proximal operators of their indicator functions.

The first argument is projected, the others describe the set and are differentiable. An array of
any shape counts as one vector; use `jax.vmap` for batches. optax computes those that it has, but
for its simplex and l1 ball, which refuse strict dtype promotion, and its l2 ball, which is NaN at
a radius of zero.
"""

import jax
import jax.numpy as jnp
import lineax as lx
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Inexact
from optax import projections

from unrolljax.prox.elementwise import l1
from unrolljax.prox.group import group_norm


def project_nonnegative(v: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Projection onto x >= 0."""
    return projections.projection_non_negative(v)


def project_box(
    v: Float[Array, "*shape"], lower: ArrayLike, upper: ArrayLike
) -> Float[Array, "*shape"]:
    """Projection onto lower <= x <= upper; the bounds broadcast to v and may be infinite."""
    lower, upper = jnp.broadcast_to(lower, v.shape), jnp.broadcast_to(upper, v.shape)
    return projections.projection_box(v, lower, upper)


def project_linf_ball(v: Float[Array, "*shape"], radius: ArrayLike = 1.0) -> Float[Array, "*shape"]:
    """Projection onto max |x_i| <= radius."""
    return projections.projection_linf_ball(v, radius)


def project_l2_ball(
    v: Inexact[Array, "*shape"], radius: ArrayLike = 1.0
) -> Inexact[Array, "*shape"]:
    """Projection onto ||x||_2 <= radius."""
    norm = group_norm(v, axis=None)
    inside = norm <= radius
    factor = jnp.where(inside, 1, radius / jnp.where(inside, 1, norm))
    return v * factor.astype(v.dtype)


def project_l1_ball(
    v: Inexact[Array, "*shape"], radius: ArrayLike = 1.0
) -> Inexact[Array, "*shape"]:
    """Projection onto ||x||_1 <= radius: a soft threshold whose level depends on v."""
    modulus = jnp.abs(v)
    inside = jnp.sum(modulus) <= radius
    return l1(v, jnp.where(inside, 0, _water_level(modulus, radius)))


def project_simplex(v: Float[Array, "*shape"], total: ArrayLike = 1.0) -> Float[Array, "*shape"]:
    """Projection onto x >= 0, sum(x) == total, for a total that is not negative."""
    return jax.nn.relu(v - _water_level(v, total))


def project_hyperplane(
    v: Float[Array, "*shape"], normal: Float[Array, "*shape"], offset: ArrayLike
) -> Float[Array, "*shape"]:
    """Projection onto <normal, x> == offset."""
    return projections.projection_hyperplane(v, normal, offset)


def project_halfspace(
    v: Float[Array, "*shape"], normal: Float[Array, "*shape"], offset: ArrayLike
) -> Float[Array, "*shape"]:
    """Projection onto <normal, x> <= offset."""
    return projections.projection_halfspace(v, normal, offset)


def project_affine_set(
    v: Float[Array, " n"], A: Float[Array, "m n"], b: Float[Array, " m"]
) -> Float[Array, " n"]:
    """Projection onto A x == b, where A has linearly independent rows (so m <= n)."""
    if A.shape[0] > A.shape[1]:
        raise ValueError(f"A has {A.shape[0]} rows of length {A.shape[1]}: they are dependent.")
    correction = lx.linear_solve(lx.MatrixLinearOperator(A), b - A @ v, lx.QR(), throw=False)
    return v + correction.value


def _water_level(values: Float[Array, "*shape"], total: ArrayLike) -> Float[Array, ""]:
    """The level at which sum(max(0, values - level)) == total.

    The sort finds the entries above the level (Duchi et al., "Efficient projections onto the
    l1-ball", 2008, figure 1); given those the level is linear in the values and the total.
    """
    descending = jnp.sort(jax.lax.stop_gradient(values).ravel())[::-1]
    rank = jnp.arange(1, descending.size + 1, dtype=values.dtype)
    above = jnp.cumsum(descending) - rank * descending < jax.lax.stop_gradient(total)
    lowest_above = descending[jnp.maximum(jnp.count_nonzero(above), 1) - 1]
    support = values >= lowest_above
    return (jnp.sum(jnp.where(support, values, 0)) - total) / jnp.sum(support, dtype=values.dtype)
