"""Refusals that operators, point spread functions and data terms share: one clear ValueError."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.tree_util import tree_leaves
from jax.typing import ArrayLike
from jaxtyping import Array, PyTree


def as_array(value: ArrayLike) -> Array:
    """Lists, NumPy arrays and numbers as JAX arrays, so that a new value compiles nothing."""
    return jnp.asarray(value, jnp.result_type(value))


def concrete(value: Any) -> np.ndarray | None:
    """The numbers behind an array, or None while it is traced."""
    return None if isinstance(value, Tracer) else np.asarray(value)


def check_finite(tree: PyTree, name: str, advice: str = "") -> None:
    """Raise where a concrete leaf holds NaN or infinity."""
    for leaf in tree_leaves(tree):
        numbers = concrete(leaf)
        if numbers is not None and not np.all(np.isfinite(numbers)):
            count = np.sum(~np.isfinite(numbers))
            raise ValueError(f"{name} holds {count} NaN or infinite values. {advice}".rstrip())


def check_at_least(value: Any, bound: float, name: str, strictly: bool = False) -> None:
    """Raise where a concrete number or array is below a bound (or equal to it, `strictly`)."""
    numbers = concrete(value)
    if numbers is None:
        return
    holds = numbers > bound if strictly else numbers >= bound
    if not np.all(holds):
        relation = "above" if strictly else "at least"
        raise ValueError(
            f"{name} must be {relation} {bound:g}; its least value is {numbers.min()}."
        )


def check_image_shape(shape: tuple[int, ...], name: str) -> None:
    """Raise unless `shape` is (height, width, channels) with positive entries."""
    if not (isinstance(shape, tuple) and len(shape) == 3 and all(n >= 1 for n in shape)):
        raise ValueError(
            f"{name}(shape={shape}) must be (height, width, channels); a grey image has 1 channel."
        )


def check_image(x: Any, shape: tuple[int, ...], name: str) -> None:
    """Raise unless x is a float or complex array of that shape."""
    if jnp.shape(x) != shape:
        raise ValueError(
            f"{name} acts on images of shape {shape} (height, width, channels), got "
            f"{jnp.shape(x)}: build it with shape={jnp.shape(x)}, or vmap over a batch."
        )
    if not jnp.issubdtype(jnp.result_type(x), jnp.inexact):
        raise ValueError(
            f"{name} acts on float images, got {jnp.result_type(x)}: divide by the white value."
        )


def check_measured(y: PyTree, template: PyTree, name: str) -> None:
    """Raise unless y has the structure and shapes of what an operator measures."""
    shapes = [jnp.shape(leaf) for leaf in tree_leaves(y)]
    expected = [leaf.shape for leaf in tree_leaves(template)]
    if shapes != expected:
        raise ValueError(f"{name} measures arrays of shape {expected}, got y of shape {shapes}.")
