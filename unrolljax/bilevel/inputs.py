"""What outer loops check before they compile."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.tree_util import keystr, tree_flatten_with_path, tree_leaves, tree_map, tree_structure
from jaxtyping import PyTree

from unrolljax.core import trees


def of_own_dtype(tree: PyTree) -> PyTree:
    """Numbers as arrays that are never weakly typed, so that a loop keeps its types."""
    tree = trees.arrays(tree)
    return tree_map(lambda v: jnp.asarray(v, dtype=v.dtype) if eqx.is_array(v) else v, tree)


def check_parameters(theta: PyTree, name: str) -> None:
    """Raise ValueError without an inexact array, or where a concrete one is not finite."""
    found = [(path, v) for path, v in tree_flatten_with_path(theta)[0] if eqx.is_inexact_array(v)]
    if not found:
        raise ValueError(f"{name} holds no floating-point array: there is nothing to optimise.")
    for path, leaf in found:
        if not isinstance(leaf, Tracer) and not np.all(np.isfinite(np.asarray(leaf))):
            raise ValueError(
                f"{name}{keystr(path)} holds a NaN or an infinity: start from finite parameters."
            )


def check_steps(steps: object, name: str) -> None:
    """Raise ValueError unless `steps` is a Python int of at least one."""
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"{name}(steps={steps!r}) must be a Python int of at least 1.")


def check_like(state: PyTree, like: PyTree, name: str) -> None:
    """Raise ValueError unless a state has the structure, shapes and dtypes of another."""

    def shapes(tree):
        return [(jnp.shape(leaf), jnp.result_type(leaf)) for leaf in tree_leaves(tree)]

    if tree_structure(state) != tree_structure(like) or shapes(state) != shapes(like):
        raise ValueError(
            f"{name}(state=...) must come from a call whose arguments have the same structure, "
            "shapes and dtypes."
        )
