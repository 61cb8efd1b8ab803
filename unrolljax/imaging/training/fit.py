"""Gradient training on fresh batches of solves, those that fail set aside."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.tree_util import tree_map
from jaxtyping import Array, Bool, Float, Int, PyTree

from unrolljax.core import trees
from unrolljax.core.status import Status


class Outcome(NamedTuple):
    """What a loss returns: the error of each problem of a batch, and how its solve ended."""

    error: Float[Array, " problems"]
    status: Int[Array, " problems"]


Loss = Callable[[Any, Any, Any], Outcome]
Sample = Callable[[Any, Array], Any]


class Fit(NamedTuple):
    """What training found.

    - `parameters`: the best by validation, or those of the start.
    - `loss`: of each step, the mean over the problems that were solved; NaN where none was.
    - `validation`: of each record; infinite where one of its solves failed.
    - `failed`: solves of each step that failed; they did not contribute.
    - `skipped`: steps that moved nothing, as no solve succeeded or the gradient was not finite.
    - `status`: COMPLETED, or that of a failed solve (NONFINITE for a loss that is not finite)
      where no validation was without one.
    """

    parameters: PyTree
    loss: Float[Array, " steps"]
    validation: Float[Array, " records"]
    failed: Int[Array, " steps"]
    skipped: Int[Array, ""]
    status: Int[Array, ""]


def fit(
    loss: Loss,
    parameters: PyTree,
    source: Any,
    sample: Sample,
    optimizer: optax.GradientTransformation,
    steps: int,
    key: Array,
    validation: Any,
    records: int = 10,
) -> Fit:
    """Minimise the mean error of `loss(parameters, source, batch)` over batches of `sample`.

    - `sample(source, key)`: a batch, every array of which has a leading axis of problems.
    - `validation`: a batch by which the best of `records` evenly spaced parameters (and the first
      ones) are chosen.
    - functions and the optimizer are compared by identity: a second call with the same ones
      compiles nothing, whatever the numbers are.

    A batch in which a solve failed is differentiated once more, with a solved problem in that
    place at weight zero: no number of a failed solve touches the gradient. One compiled program.

    Raises ValueError unless `records` is at least 1 and divides `steps`.
    """
    if records < 1 or steps < 1 or steps % records:
        raise ValueError(
            f"fit needs records >= 1 that divides steps; records={records}, steps={steps}."
        )
    inputs = trees.arrays((loss, parameters, source, validation))
    return _fit(inputs, sample, optimizer, steps, key, records)


@eqx.filter_jit
def _fit(inputs, sample, optimizer, steps: int, key: Array, records: int) -> Fit:
    loss, parameters, source, validation = inputs
    # Numbers that are no inexact arrays are settings, not parameters.
    learned, settings = eqx.partition(parameters, eqx.is_inexact_array)

    def outcome_of(learned, batch) -> Outcome:
        return loss(eqx.combine(learned, settings), source, batch)

    def move(carry, key):
        learned, memory = carry
        tried = _slope(outcome_of, learned, sample(source, key))
        good = tried.counted & trees.all_finite((tried.value, tried.gradient))
        updates, following = optimizer.update(tried.gradient, memory, learned)
        moved = (optax.apply_updates(learned, updates), following)
        value = jnp.where(tried.counted, tried.value, jnp.nan)
        return trees.where(good, moved, carry), (value, tried.failed, ~good)

    def record(carry, keys):
        moving, best, least, _ = carry
        moving, found = jax.lax.scan(move, moving, keys)
        value, status = _judged(outcome_of(moving[0], validation))
        better = value < least
        best = trees.where(better, moving[0], best)
        carry = (moving, best, jnp.where(better, value, least), status)
        return carry, (*found, value)

    least, status = _judged(outcome_of(learned, validation))
    start = ((learned, optimizer.init(learned)), learned, least, status)
    keys = jax.random.split(key, (records, steps // records))
    (_, best, least, status), found = jax.lax.scan(record, start, keys)
    values, failed, skipped, validated = found
    status = jnp.where(jnp.isfinite(least), Status.COMPLETED, status).astype(jnp.int32)
    parameters = eqx.combine(best, settings)
    return Fit(
        parameters,
        values.ravel(),
        validated,
        failed.ravel(),
        jnp.sum(skipped, dtype=jnp.int32),
        status,
    )


class _Tried(NamedTuple):
    """A batch's mean error and its gradient; the problems that count, and their stand-ins."""

    value: Float[Array, ""]
    gradient: PyTree[Array]
    failed: Int[Array, ""]
    counts: Bool[Array, " problems"]
    order: Int[Array, " problems"]
    again: Bool[Array, ""]

    @property
    def counted(self) -> Bool[Array, ""]:
        """Whether any problem counts."""
        return jnp.any(self.counts)


def _slope(outcome_of: Callable, learned: PyTree[Array], batch: Any) -> _Tried:
    """The mean error over the problems that are solved, and its gradient."""

    def mean(learned, batch, counts):
        error, status = outcome_of(learned, batch)
        total = jnp.sum(jnp.where(counts, error, 0))
        return total / jnp.maximum(jnp.sum(counts), 1).astype(total.dtype), status

    def attempt(tried: _Tried) -> _Tried:
        chosen = tree_map(lambda v: v[tried.order] if eqx.is_array(v) else v, batch)
        differentiate = jax.value_and_grad(mean, has_aux=True)
        (value, status), gradient = differentiate(learned, chosen, tried.counts)
        solved = status <= Status.COMPLETED
        first = jnp.all(tried.counts)
        counts = tried.counts & solved
        order = jnp.where(counts, tried.order, jnp.argmax(counts))
        failed = jnp.where(first, jnp.sum(~solved, dtype=jnp.int32), tried.failed)
        again = first & jnp.any(counts) & ~jnp.all(counts)
        return _Tried(value, gradient, failed, counts, order, again)

    error = jax.eval_shape(outcome_of, learned, batch).error
    problems = error.shape[0]
    zero = tree_map(jnp.zeros_like, learned)
    start = _Tried(
        jnp.zeros((), error.dtype),
        zero,
        jnp.zeros((), jnp.int32),
        jnp.ones(problems, bool),
        jnp.arange(problems),
        jnp.ones((), bool),
    )
    return jax.lax.while_loop(lambda tried: tried.again, attempt, start)


def _judged(outcome: Outcome) -> tuple[Float[Array, ""], Int[Array, ""]]:
    """The mean error, infinite where a solve failed; a status that says why."""
    worst = jnp.max(outcome.status)
    value = jnp.mean(outcome.error)
    good = (worst <= Status.COMPLETED) & jnp.isfinite(value)
    status = jnp.where(worst <= Status.COMPLETED, Status.NONFINITE, worst)
    return jnp.where(good, value, jnp.inf), status
