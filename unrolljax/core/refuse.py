"""Outputs that have no derivative and say so."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.tree_util import tree_leaves, tree_map
from jaxtyping import Array, PyTree


def refuse_derivative(value: PyTree[Array], inputs: PyTree) -> PyTree[Array]:
    """`value`, whose derivative with respect to `inputs` is NaN instead of a silent zero.

    Diagnostics (residual, trace) are computed off the differentiated path. Their cotangents are
    zero unless somebody differentiates them; a non-zero one turns every gradient into NaN, in
    reverse and in forward mode, without raising inside jit.
    """
    numbers = [leaf for leaf in tree_leaves(inputs) if eqx.is_inexact_array(leaf)]
    inexact, rest = eqx.partition(value, eqx.is_inexact_array)
    return (
        eqx.combine(_refuse(_batched_alike(inexact, numbers), numbers), rest) if numbers else value
    )


def _batched_alike(value: PyTree[Array], numbers: list[Array]) -> PyTree[Array]:
    """`value`, with a batch axis wherever a number has one.

    JAX 0.10 fails to linearise `jit(vmap(f))` where a custom_jvp in f has an output that does not
    depend on the batch but a tangent that does.
    """
    firsts = [jnp.sum(jnp.real(jax.lax.stop_gradient(leaf)).ravel()[:1]) for leaf in numbers]
    never = jnp.any(jnp.stack([first > jnp.inf for first in firsts]))
    return tree_map(lambda v: v + jnp.broadcast_to(never, v.shape).astype(v.dtype), value)


@jax.custom_jvp
def _refuse(value, numbers):
    del numbers
    return value


@_refuse.defjvp
def _refuse_jvp(primals, tangents):
    value, numbers = primals
    _, directions = tangents
    sums = [jnp.sum(jnp.real(d)).astype(jnp.result_type(float)) for d in directions]
    total = jnp.sum(jnp.stack(sums))
    return _refuse(value, numbers), tree_map(lambda v: _nan_unless_zero(total, v), value)


def _nan_unless_zero(total: Array, like: Array) -> Array:
    """A linear function of `total` to JAX; NaN wherever it or its transpose meets a non-zero."""
    spread = jnp.broadcast_to(total, like.shape).astype(like.dtype)

    def poison(_, b):
        return jnp.where(b == 0, jnp.zeros_like(b), jnp.full_like(b, jnp.nan))

    return jax.lax.custom_linear_solve(lambda v: v, spread, poison, poison)
