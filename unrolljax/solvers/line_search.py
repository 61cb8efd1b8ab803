"""Backtracking line search for directions whose natural step length is one."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from unrolljax.core import trees
from unrolljax.solvers.real_vector import closed_constant

HALVINGS = 30
SUFFICIENT_DECREASE = 1e-4


def backtracking(
    function: Callable[[Array], Array],
    v: Float[Array, " n"],
    direction: Float[Array, " n"],
    value: Float[Array, ""],
    slope: Float[Array, ""],
) -> Float[Array, ""]:
    """The first step length of 1, 1/2, 1/4, ... that lowers a function sufficiently.

    Accepts t where `function(v + t direction) <= value + 1e-4 t slope` up to rounding (Armijo
    1966); `value` is `function(v)`, `slope` its derivative along the direction. A direction that
    is negligible beside v is taken in full; the length is 0 where 30 halvings do not suffice. It
    carries no derivative. A loop rather than a batch of candidates: one evaluation usually does.
    """
    v, direction, value, slope = trees.stop_gradient((v, direction, value, slope))
    trial = closed_constant(lambda t: function(v + t * direction), slope)
    rounding = 10 * jnp.finfo(slope.dtype).eps * jnp.abs(value)

    def unfinished(carry):
        _, accepted, tried = carry
        return ~accepted & (tried <= HALVINGS)

    def halve(carry):
        length, _, tried = carry
        length = length / 2
        accepted = trial(length) <= value + SUFFICIENT_DECREASE * length * slope + rounding
        return length, accepted, tried + 1

    start = (jnp.full_like(slope, 2), jnp.zeros((), bool), jnp.zeros((), jnp.int32))
    length, accepted, _ = jax.lax.while_loop(unfinished, halve, start)
    full = negligible(direction, v)
    return jnp.where(full, jnp.ones_like(length), jnp.where(accepted, length, 0))


def negligible(step: PyTree[Array], x: PyTree[Array]) -> Bool[Array, ""]:
    """Whether a step is so small beside x that function values say nothing about it."""
    size = trees.norm(x)
    return trees.norm(step) <= jnp.finfo(size.dtype).eps ** 0.75 * (1 + size)
