"""Point spread functions of a camera that moves while it looks."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from unrolljax.imaging.operators.checks import as_array

SAMPLES = 1000
"""Positions along a path."""


def linear_motion(
    size: int, length: ArrayLike, angle: ArrayLike = 0.0
) -> Float[Array, "size size"]:
    """A straight path at constant speed; `length` in pixels, `angle` in radians from columns."""
    length, angle = as_array(length).astype(float), as_array(angle).astype(float)
    along = jnp.linspace(-0.5, 0.5, SAMPLES) * length
    return _path(size, -along * jnp.sin(angle), along * jnp.cos(angle), "linear_motion")


def random_motion(key: Array, size: int, spread: ArrayLike) -> Float[Array, "size size"]:
    """A smooth random path: integrated random walk, `spread` pixels of standard deviation."""
    steps = jax.random.normal(key, (2, SAMPLES))
    path = jnp.cumsum(jnp.cumsum(steps, 1), 1)
    path = path - jnp.mean(path, 1, keepdims=True)
    path = path / jnp.std(path) * as_array(spread).astype(path.dtype)
    return _path(size, path[0], path[1], "random_motion")


def _path(size: int, rows: Array, columns: Array, name: str) -> Float[Array, "size size"]:
    """The time spent at each pixel, shared linearly between neighbours; what leaves is cut."""
    if not isinstance(size, int) or size < 1 or size % 2 == 0:
        raise ValueError(f"{name}(size={size}) must be an odd whole number of pixels.")
    line = jnp.arange(-(size // 2), size // 2 + 1).astype(rows.dtype)
    near_rows = jnp.maximum(1 - jnp.abs(line[:, None] - rows[None]), 0)
    near_columns = jnp.maximum(1 - jnp.abs(line[:, None] - columns[None]), 0)
    kernel = near_rows @ near_columns.T
    return kernel / jnp.sum(kernel)
