"""Parameters as one real vector: its names, and other pytrees (bounds, priors) laid out like it."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.tree_util import (
    keystr,
    tree_flatten_with_path,
    tree_leaves,
    tree_map,
    tree_structure,
)
from jaxtyping import Array, Float, PyTree

from unrolljax.solvers.real_vector import to_vector


def as_parameters(theta: Any, name: str) -> PyTree[Array]:
    """`theta` with its numbers as arrays, or a TypeError where an entry is no real number."""
    theta = tree_map(jnp.asarray, theta)
    if not tree_leaves(theta):
        raise ValueError(f"{name} holds no arrays; give it the structure of the parameters.")
    for path, leaf in tree_flatten_with_path(theta)[0]:
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise TypeError(
                f"Parameters must be real floating-point numbers, but {name}{keystr(path)} has "
                f"dtype {leaf.dtype}. Convert it, e.g. .astype(float), or pass it through args."
            )
    return tree_map(lambda leaf: jnp.asarray(leaf, dtype=leaf.dtype), theta)  # not weakly typed


def entry_names(theta: PyTree[Array]) -> list[str]:
    """A name for every entry of the vector: `stiffness`, `layers.0.porosity[2]`, `theta[1]`."""
    names = []
    for path, leaf in tree_flatten_with_path(theta)[0]:
        name = keystr(path, simple=True, separator=".") or "theta"
        for index in np.ndindex(np.shape(leaf)):
            names.append(name + (f"[{', '.join(map(str, index))}]" if index else ""))
    return names


def like_parameters(
    value: Any, theta: PyTree[Array], absent: float, name: str
) -> Float[Array, " n"]:
    """`value`, a number for all or a pytree like theta, as a vector laid out like theta's.

    Leaves are arrays of theta's shapes or numbers for the whole leaf; None stands for `absent`.
    """
    if value is None or isinstance(value, int | float) or _is_number(value):
        value = tree_map(lambda _: value, theta)
    leaves, structure = _leaves(value), tree_structure(theta)
    if tree_structure(tree_map(lambda _: 0, value, is_leaf=_is_none)) != structure:
        raise ValueError(
            f"{name} must be a number or have the structure of theta0, {structure}; it has "
            f"{tree_structure(value)}."
        )
    filled = [
        _filled(leaf, like, absent, name)
        for leaf, like in zip(leaves, tree_leaves(theta), strict=True)
    ]
    return to_vector(structure.unflatten(filled))[0]


def concrete(*arrays: float | Array) -> bool:
    """Whether the values of all of these can be looked at (none is traced)."""
    return not any(isinstance(array, Tracer) for array in arrays)


def _leaves(value: PyTree) -> list[Any]:
    return tree_leaves(value, is_leaf=_is_none)


def _is_number(value: Any) -> bool:
    return isinstance(value, np.generic | np.ndarray | Array) and value.ndim == 0


def _is_none(leaf: Any) -> bool:
    return leaf is None


def _filled(leaf: Any, like: Array, absent: float, name: str) -> Array:
    value = jnp.asarray(absent if leaf is None else leaf).astype(like.dtype)
    if value.shape not in ((), like.shape):
        raise ValueError(
            f"{name} has an entry of shape {value.shape} where theta0 has {like.shape}."
        )
    return jnp.broadcast_to(value, like.shape)
