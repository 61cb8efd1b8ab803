"""Proximal operators of sums of Euclidean norms of groups of entries, and those norms.

Each operator is block soft thresholding (Yuan and Lin, 2006): a group is scaled by
max(0, 1 - threshold / norm), where the threshold is the group's weight times the step. Complex
entries count by their modulus. Derivatives are finite everywhere, groups of zeros included.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Inexact, Int

from unrolljax.prox._shrinkage import shrinkage


def l2(v: Inexact[Array, "*shape"], threshold: ArrayLike) -> Inexact[Array, "*shape"]:
    """The proximal operator of threshold * ||x||_2, the whole array being one group."""
    norm = group_norm(v, axis=None)
    return v * shrinkage(norm, jnp.broadcast_to(threshold, ())).astype(v.dtype)


def group_lasso(
    v: Inexact[Array, "*shape"], threshold: ArrayLike, axis: int | tuple[int, ...] = -1
) -> Inexact[Array, "*shape"]:
    """The proximal operator of sum(threshold * group_norm(x, axis)), the l21 norm.

    The entries along `axis` are a group, and there is one for each index of the other axes. For
    isotropic total variation v is the gradient of an image and `axis` the axis of its components.
    The threshold broadcasts to the shape of v without `axis`.
    """
    norm = group_norm(v, axis)
    factor = shrinkage(norm, jnp.broadcast_to(threshold, norm.shape))
    return v * jnp.expand_dims(factor, axis).astype(v.dtype)


def group_norm(
    x: Inexact[Array, "*shape"], axis: int | tuple[int, ...] | None = -1
) -> Float[Array, "*groups"]:
    """Euclidean norms along `axis` (None: of the whole array); the derivative at zero is zero."""
    return _safe_sqrt(jnp.sum(_squared_modulus(x), axis))


def labelled_group_lasso(
    v: Inexact[Array, "*shape"],
    threshold: ArrayLike,
    labels: Int[Array, "*shape"],
    group_count: int,
) -> Inexact[Array, "*shape"]:
    """The proximal operator of sum(threshold * labelled_group_norm(x, labels, group_count)).

    `labels` gives each entry its group, from 0 to group_count - 1, in any order and of any sizes;
    an entry with a label outside that range becomes NaN. The threshold is a scalar or has one
    entry for each group: the square root of the group's size is the usual weight.
    """
    norm = labelled_group_norm(v, labels, group_count)
    factor = shrinkage(norm, jnp.broadcast_to(threshold, norm.shape))
    # Out of range the default would be to clamp, which would shrink the entry with another group.
    factor_of_entry = factor.at[labels].get(
        mode="fill", fill_value=jnp.nan, wrap_negative_indices=False
    )
    return v * factor_of_entry.astype(v.dtype)


def labelled_group_norm(
    x: Inexact[Array, "*shape"], labels: Int[Array, "*shape"], group_count: int
) -> Float[Array, " {group_count}"]:
    """Euclidean norms of the groups that `labels` names; the derivative at zero is zero."""
    squared = _squared_modulus(x).ravel()
    return _safe_sqrt(jax.ops.segment_sum(squared, labels.ravel(), num_segments=group_count))


def _squared_modulus(x: Inexact[Array, "*shape"]) -> Float[Array, "*shape"]:
    return jnp.real(x * jnp.conj(x))


def _safe_sqrt(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    positive = x > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, 1)), 0)
