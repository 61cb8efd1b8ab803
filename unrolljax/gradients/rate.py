"""The truncation rule: how deep credit must be carried back for a given error.

A process that contracts at `rate` per step leaves at most `rate ** depth` of the credit beyond
`depth` steps, be it the unrolled adjoint of a fixed-point iteration, a window of backpropagation
through time, or TD(lambda) with rate `gamma * lambda`.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import tree_leaves, tree_structure, tree_unflatten
from jaxtyping import Array, Float, PyTree

from unrolljax.core import trees
from unrolljax.core.loop import Info


def truncation_depth(rate: float | Array, tol: float | Array) -> int | Array:
    """Smallest depth K with `rate ** K <= tol`: `ceil(log tol / log rate)`, at least 1.

    For Python numbers an int; for arrays an int32 array, the largest int32 where `rate >= 1`.
    Raises ValueError for a concrete rate outside [0, 1) or tol outside (0, 1).
    """
    if isinstance(rate, int | float) and isinstance(tol, int | float):
        if not 0 <= rate < 1:
            raise ValueError(
                f"truncation_depth(rate={rate:g}): only a rate in [0, 1) forgets; at 1 or more no "
                "finite depth is enough. Make the iteration contract, or use gradient=Implicit()."
            )
        if not 0 < tol < 1:
            raise ValueError(f"truncation_depth(tol={tol:g}): the error to allow lies in (0, 1).")
        return 1 if rate <= tol else math.ceil(math.log(tol) / math.log(rate) - 1e-12)
    rate, tol = jnp.asarray(rate), jnp.asarray(tol)
    contracts = (rate >= 0) & (rate < 1)
    inner = jnp.clip(rate, jnp.finfo(rate.dtype).tiny, 1 - jnp.finfo(rate.dtype).epsneg)
    depth = jnp.ceil(jnp.log(tol) / jnp.log(inner) - 1e-6)
    largest = jnp.iinfo(jnp.int32).max
    depth = jnp.clip(depth, 1, float(2**30)).astype(jnp.int32)
    return jnp.where(contracts, depth, largest)


def measured_rate(info: Info) -> Float[Array, ""]:
    """Contraction rate that a solve has shown: the larger of its recent and its mean ratio.

    The recent ratio (`info.rate`) sees what is left at the end. Where the residual swings, as it
    does for non-normal Jacobians, that may be a momentary fall, or a rise to 1 and more, which is
    left out: a residual that fell on the whole contracts.
    """
    changes = jnp.maximum(info.steps - 1, 1).astype(info.residual.dtype)
    fall = info.residual / jnp.where(info.first_residual > 0, info.first_residual, 1)
    return jnp.maximum(jnp.where(info.rate < 1, info.rate, 0), fall ** (1 / changes))


def estimate_rate(
    function: Callable[[PyTree[Array]], PyTree[Array]],
    x: PyTree[Array],
    *,
    steps: int = 30,
    key: Array | None = None,
) -> Float[Array, ""]:
    """Contraction rate of a map at `x`: the larger of its forward and adjoint power ratios.

    `steps` Jacobian-vector and as many vector-Jacobian products from one random direction; the
    rate is the geometric mean of the norm ratios over the second half. For a non-normal Jacobian
    transient growth makes it larger than the spectral radius, which is the safe side; the adjoint
    ratio alone is fooled by directions that the adjoint does not see.
    """
    key = jax.random.key(0) if key is None else key
    direction = _random_like(key, x)
    _, push = jax.linearize(function, x)
    pull = jax.linear_transpose(push, x)
    forward = _power_rate(push, direction, steps)
    adjoint = _power_rate(lambda v: pull(v)[0], direction, steps)
    return jnp.maximum(forward, adjoint)


def _power_rate(linear: Callable, start: PyTree[Array], steps: int) -> Array:
    def step(v, _):
        new = linear(v)
        ratio = trees.norm(new)
        safe = jnp.where(ratio > 0, ratio, 1)
        return jax.tree_util.tree_map(lambda leaf: leaf / safe, new), ratio

    unit = jax.tree_util.tree_map(lambda leaf: leaf / trees.norm(start), start)
    _, ratios = jax.lax.scan(step, unit, length=steps)
    late = ratios[steps // 2 :]
    tiny = jnp.finfo(late.dtype).tiny
    return jnp.exp(jnp.mean(jnp.log(jnp.maximum(late, tiny))))


def _random_like(key: Array, x: PyTree[Array]) -> PyTree[Any]:
    leaves = tree_leaves(x)
    keys = jax.random.split(key, len(leaves))
    drawn = [jax.random.normal(k, v.shape, v.dtype) for k, v in zip(keys, leaves, strict=True)]
    return tree_unflatten(tree_structure(x), drawn)
