"""Arithmetic on pytrees of arrays: the few operations that a loop and an adjoint need."""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import tree_leaves, tree_map
from jaxtyping import Array, PyTree

_LONG, _LANES = 4096, 64


def norm(tree: PyTree[Array]) -> Array:
    """Euclidean norm of all entries of a pytree, real, differentiable only away from zero."""
    return jnp.sqrt(real_dot(tree, tree))


def subtract(a: PyTree[Array], b: PyTree[Array]) -> PyTree[Array]:
    """`a - b`, leaf by leaf."""
    return tree_map(jnp.subtract, a, b)


def add(a: PyTree[Array], b: PyTree[Array]) -> PyTree[Array]:
    """`a + b`, leaf by leaf."""
    return tree_map(jnp.add, a, b)


def scale(factor: Array | float, tree: PyTree[Array]) -> PyTree[Array]:
    """`factor * tree`, in the dtype of each leaf."""
    return tree_map(lambda leaf: jnp.asarray(factor).astype(leaf.dtype) * leaf, tree)


def add_scaled(a: PyTree[Array], factor: Array | float, b: PyTree[Array]) -> PyTree[Array]:
    """`a + factor * b`, in the dtype of each leaf."""
    return add(a, scale(factor, b))


def real_dot(a: PyTree[Array], b: PyTree[Array]) -> Array:
    """Real inner product of two pytrees, `Re sum conj(a) b`."""
    return functools.reduce(jnp.add, tree_leaves(tree_map(_real_dot, a, b)))


def _real_dot(a: Array, b: Array) -> Array:
    """Of two leaves; a long one in lanes, which XLA sums in vectors on the CPU, and a dot not."""
    if jnp.size(a) < _LONG:
        return jnp.real(jnp.vdot(a, b))
    products = jnp.real(jnp.conj(a) * b).ravel()
    whole = products.size - products.size % _LANES
    lanes = jnp.sum(products[:whole].reshape(-1, _LANES), 0)
    return jnp.sum(lanes) + jnp.sum(products[whole:])


def all_finite(tree: PyTree) -> Array:
    """Whether every entry of every inexact array is a finite number."""
    numbers = [leaf for leaf in tree_leaves(tree) if eqx.is_inexact_array(leaf)]
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in numbers]))


def where(condition: Array, a: PyTree, b: PyTree) -> PyTree:
    """`a` where a scalar condition holds, else `b`; leaves that are no arrays come from `a`."""
    return tree_map(lambda u, v: jnp.where(condition, u, v) if eqx.is_array(u) else u, a, b)


def stop_gradient(tree: PyTree) -> PyTree:
    """The same pytree with no derivative; leaves that are no inexact arrays pass."""
    return tree_map(lambda v: jax.lax.stop_gradient(v) if eqx.is_inexact_array(v) else v, tree)


def arrays(tree: PyTree) -> PyTree:
    """Python numbers and NumPy arrays made JAX arrays, so that a new value compiles nothing.

    Python ints stay: they are structure.
    """
    kinds = float | complex | np.ndarray | np.generic
    return tree_map(lambda v: jnp.asarray(v) if isinstance(v, kinds) else v, tree)


def gradient(function: Callable[[PyTree], Array], x: PyTree[Array]) -> PyTree[Array]:
    """Steepest-ascent direction of a real function; for complex leaves `d/dRe + i d/dIm`."""
    return tree_map(jnp.conj, jax.grad(function)(x))


def real_pair(tree: PyTree[Array]) -> PyTree[Array]:
    """Complex leaves as pairs (real part, imaginary part); real leaves pass.

    Conditions of complex unknowns are rarely holomorphic; as functions of the pair they are
    differentiable, and symmetric where the condition is a gradient.
    """
    return tree_map(lambda v: (v.real, v.imag) if jnp.iscomplexobj(v) else v, tree)


def from_real_pair(pairs: PyTree[Array], like: PyTree[Any]) -> PyTree[Array]:
    """Inverse of `real_pair`, for a pytree with the structure and dtypes of `like`."""

    def join(template, value):
        return jax.lax.complex(*value) if jnp.iscomplexobj(template) else value

    return tree_map(join, like, pairs)
