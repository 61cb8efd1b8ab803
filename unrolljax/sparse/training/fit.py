"""Gradient training on fresh batches, the best parameters by validation kept."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PyTree

from unrolljax.core import trees
from unrolljax.core.status import Status

Loss = Callable[[Any, Any, Any], Array]
Sample = Callable[[Any, Array], Any]


class Fit(NamedTuple):
    """What training found.

    `status` is COMPLETED, or NONFINITE where no validation was finite: the parameters are then
    those of the start. `skipped` counts steps whose gradient was not finite, which moved nothing.
    """

    parameters: PyTree
    loss: Float[Array, " steps"]
    validation: Float[Array, " records"]
    skipped: Int[Array, ""]
    status: Int[Array, ""]


def fit(
    loss: Loss,
    parameters: PyTree,
    data: Any,
    sample: Sample,
    optimizer: optax.GradientTransformation,
    steps: int,
    key: Array,
    validation: Any,
    records: int = 10,
) -> Fit:
    """Minimise `loss(parameters, data, batch)` over batches `sample(data, key)`.

    - `validation`: a batch by which the best of `records` evenly spaced parameters (and the first
      ones) are chosen.
    - functions and the optimizer are compared by identity: a second call with the same ones
      compiles nothing, whatever parameters and data are.

    Raises a ValueError unless 1 <= records <= steps.
    """
    if not 1 <= records <= steps:
        raise ValueError(f"fit needs 1 <= records <= steps; records={records}, steps={steps}.")
    return _fit(loss, parameters, data, sample, optimizer, steps, key, validation, records)


@eqx.filter_jit
def _fit(loss, parameters, data, sample, optimizer, steps, key, validation, records) -> Fit:
    # Numbers that are no arrays (shares of a selection, say) are settings, not parameters.
    learned, settings = eqx.partition(parameters, eqx.is_inexact_array)

    def value_of(learned, batch):
        return loss(eqx.combine(learned, settings), data, batch)

    def move(carry, key):
        learned, memory = carry
        value, slope = jax.value_and_grad(value_of)(learned, sample(data, key))
        finite = trees.all_finite((value, slope))
        updates, following = optimizer.update(slope, memory, learned)
        moved = (optax.apply_updates(learned, updates), following)
        return trees.where(finite, moved, carry), (value, ~finite)

    def record(carry, keys):
        moving, best, least = carry
        moving, (values, skipped) = jax.lax.scan(move, moving, keys)
        value = value_of(moving[0], validation)
        better = value < least
        best = trees.where(better, moving[0], best)
        return (moving, best, jnp.where(better, value, least)), (values, value, skipped)

    keys = jax.random.split(key, (records, steps // records))
    first = value_of(learned, validation)
    least = jnp.where(jnp.isfinite(first), first, jnp.inf)
    start = ((learned, optimizer.init(learned)), learned, least)
    (_, best, least), (values, validated, skipped) = jax.lax.scan(record, start, keys)
    status = jnp.where(jnp.isfinite(least), Status.COMPLETED, Status.NONFINITE)
    best = eqx.combine(best, settings)
    return Fit(best, values.ravel(), validated, jnp.sum(skipped), status.astype(jnp.int32))
