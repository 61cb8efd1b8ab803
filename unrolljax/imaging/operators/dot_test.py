"""Whether an operator's adjoint is its adjoint."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.tree_util import tree_leaves, tree_structure, tree_unflatten
from jaxtyping import Array, Float, PyTree

from unrolljax.core import trees
from unrolljax.imaging.operators.operator import Operator


@eqx.filter_jit
def dot_test(operator: Operator, key: Array, dtype: str | None = None) -> Float[Array, ""]:
    """`|Re <A x, y> - Re <x, A* y>| / (|A x| |y|)` for normal random x and y (complex ones too).

    An exact adjoint leaves a rounding error of about the precision of `dtype`, that of the images
    (by default the operator's `image_dtype`).
    """
    image, measured = jax.random.split(key)
    x = jax.random.normal(image, operator.shape, dtype or operator.image_dtype)
    Ax = operator(x)
    y = _normal(measured, Ax)
    difference = trees.real_dot(Ax, y) - trees.real_dot(x, operator.adjoint(y))
    return jnp.abs(difference) / (trees.norm(Ax) * trees.norm(y))


def _normal(key: Array, like: PyTree) -> PyTree[Array]:
    """Standard normal numbers with the structure, shapes and dtypes of `like`."""
    leaves = tree_leaves(like)
    keys = jax.random.split(key, len(leaves))
    drawn = [
        jax.random.normal(k, leaf.shape, leaf.dtype) for k, leaf in zip(keys, leaves, strict=True)
    ]
    return tree_unflatten(tree_structure(like), drawn)
