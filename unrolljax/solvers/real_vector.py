"""Unknowns as real vectors, and functions that hide derivatives: what second-order steps need."""

from collections.abc import Callable
from typing import Any

import jax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree

from unrolljax.core import trees


def to_vector(x: PyTree[Array]) -> tuple[Float[Array, " n"], Callable[[Array], PyTree[Array]]]:
    """`x` as one real vector (real and imaginary parts of complex entries), and the way back."""
    vector, unravel = ravel_pytree(trees.real_pair(x))
    return vector, lambda v: trees.from_real_pair(unravel(v), x)


def closed_constant(function: Callable, *examples: Array) -> Callable[..., Any]:
    """`function` of its arguments alone: what it closes over carries no derivative.

    With arguments that carry none either, it may run in a `while_loop` inside a differentiated
    step. `examples` are arguments with the shapes and dtypes of a call.
    """
    converted, constants = jax.closure_convert(function, *examples)
    constants = trees.stop_gradient(constants)
    return lambda *arguments: converted(*arguments, *constants)
