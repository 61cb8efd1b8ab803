"""One outer step, and one evaluation, as pure functions of arrays."""

import dataclasses
import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Int, PyTree

from unrolljax.core import trees
from unrolljax.lab.experiment import Experiment, Outcome
from unrolljax.lab.record import Record, count, failed


class TrainState(NamedTuple):
    """All that one outer step hands to the next; donated to it.

    `bad_step` is -1 until a step fails; from then on no step changes anything, so that the state
    stays the one from which the failure can be repeated. `skipped` counts the steps that failed and
    were left out instead.
    """

    step: Int[Array, ""]
    parameters: PyTree[Array]
    optimizer: PyTree[Array]
    carry: PyTree[Array]
    bad_step: Int[Array, ""]
    skipped: Int[Array, ""]


@dataclasses.dataclass(frozen=True, eq=False)
class Outer:
    """An experiment made ready for jit: its loss as a function of the learned arrays.

    - `accumulate`: the batch is split into as many parts, one after the other, to save memory.
    - `max_failed`: the share of solves of a step that may fail before the step is bad.
    - `max_skipped`: bad steps that are left out, parameters as before, until one ends the run.
    """

    experiment: Experiment
    optimizer: optax.GradientTransformation
    mesh: Mesh
    accumulate: int
    max_failed: float
    max_skipped: int = 0

    def learned(self) -> PyTree[Array]:
        """The inexact arrays of the experiment's parameters."""
        return eqx.filter(self.experiment.parameters, eqx.is_inexact_array)

    def complete(self, learned: PyTree[Array]) -> PyTree:
        """The experiment's parameters with other learned arrays."""
        return eqx.combine(learned, self.experiment.parameters)

    def first(
        self, learned: PyTree[Array], data: PyTree, seed: Int[Array, ""]
    ) -> tuple[TrainState, PyTree[Array]]:
        """The state before the first step, and the first batch."""
        batch = self.batch(data, seed, jnp.zeros((), jnp.int32))
        carry = self.experiment.first_carry(batch)
        zero = jnp.zeros((), jnp.int32)
        memory = self.optimizer.init(learned)
        return TrainState(zero, learned, memory, carry, zero - 1, zero), batch

    def batch(self, data: PyTree, seed: Int[Array, ""], step: Int[Array, ""]) -> PyTree[Array]:
        """The problems of a step: the same on any number of devices."""
        key = jax.random.fold_in(jax.random.key(seed), step)
        return self.experiment.sample(data, key)

    def step(
        self, state: TrainState, data: PyTree, seed: Int[Array, ""], signals: Int[Array, " devices"]
    ) -> tuple[TrainState, Record]:
        """Sample, differentiate, update; a bad step is skipped, or changes `bad_step` only."""
        batch = self._share(self.batch(data, seed, state.step))
        outcome, gradient = self.slope(state.parameters, data, batch, state.carry)
        _check_carry(state.carry, outcome.carry)
        statuses = count(outcome.status)
        good = trees.all_finite((outcome.loss, gradient))
        good &= failed(statuses) <= self._may_fail(outcome)
        going, spared = state.bad_step < 0, ~good & (state.skipped < self.max_skipped)
        updates, optimizer = self.optimizer.update(gradient, state.optimizer, state.parameters)
        parameters = optax.apply_updates(state.parameters, updates)
        done = state._replace(parameters=parameters, optimizer=optimizer, carry=outcome.carry)
        after = trees.where(good & going, done, state)
        taken = going & (good | spared)
        after = after._replace(
            step=state.step + taken.astype(jnp.int32),
            bad_step=jnp.where(taken | ~going, state.bad_step, state.step),
            skipped=state.skipped + (going & spared).astype(jnp.int32),
        )
        norm = optax.tree.norm(gradient)
        record = Record(
            state.step + 1, outcome.loss, norm, dict(outcome.metrics), statuses,
            taken, after.skipped, jnp.max(signals),
        )  # fmt: skip
        return after, record

    def evaluate(self, learned: PyTree[Array], data: PyTree, held_out: PyTree[Array]):
        """Loss, metrics and status counts on the held-out batch."""
        held_out = self._share(held_out)
        carry = self.experiment.first_carry(held_out)
        outcome = self.experiment.loss(self.complete(learned), data, held_out, carry)
        return outcome.loss, dict(outcome.metrics), count(outcome.status)

    def slope(
        self, learned: PyTree[Array], data: PyTree, batch: PyTree[Array], carry: PyTree[Array]
    ) -> tuple[Outcome, PyTree[Array]]:
        """The outcome of a batch, and the gradient of its loss, summed over the parts."""

        def value(learned, part, carry):
            outcome = self.experiment.loss(self.complete(learned), data, part, carry)
            return outcome.loss, outcome._replace(metrics=dict(outcome.metrics))

        differentiate = jax.value_and_grad(value, has_aux=True)
        if self.accumulate == 1:
            (_, outcome), gradient = differentiate(learned, batch, carry)
            return outcome, gradient

        def add(total, part):
            (_, outcome), gradient = differentiate(learned, *part)
            means = (gradient, outcome.loss, outcome.metrics)
            total = jax.tree.map(lambda t, m: t + m / self.accumulate, total, means)
            return total, (outcome.status, outcome.carry)

        parts = self._split((batch, carry))
        first = jax.tree.map(lambda leaf: leaf[0], parts)
        (_, like), slope = jax.eval_shape(differentiate, learned, *first)
        shapes = (slope, like.loss, like.metrics)
        zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        (gradient, loss, metrics), (status, carry) = jax.lax.scan(add, zeros, parts)
        carry = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), carry)
        return Outcome(loss, status, metrics, self._share(carry)), gradient

    def _may_fail(self, outcome: Outcome) -> int:
        solves = 0 if outcome.status is None else outcome.status.size
        return math.floor(self.max_failed * solves + 1e-6)

    def _split(self, tree: PyTree[Array]) -> PyTree[Array]:
        def part(leaf):
            return leaf.reshape(self.accumulate, -1, *leaf.shape[1:])

        return self._constrain(jax.tree.map(part, tree), PartitionSpec(None, "data"))

    def _share(self, tree: PyTree[Array]) -> PyTree[Array]:
        return self._constrain(tree, PartitionSpec("data"))

    def _constrain(self, tree: PyTree[Array], spec: PartitionSpec) -> PyTree[Array]:
        return jax.lax.with_sharding_constraint(tree, NamedSharding(self.mesh, spec))


def _check_carry(before: PyTree[Array], after: PyTree[Array]) -> None:
    shapes = [
        jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), tree) for tree in (before, after)
    ]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"The loss returns a carry of {shapes[1]}, and was given one of {shapes[0]}: return "
            "warm starts in the form of Experiment.start(batch), or none where there is no start."
        )
