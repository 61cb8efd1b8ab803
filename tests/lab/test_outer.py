"""One outer step: its gradient, its parts, and what a bad step leaves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy

import unrolljax as uj

SEED = np.uint32(0)
NO_SIGNAL = jnp.zeros(1, jnp.int32)


def begin(outer):
    data = outer.experiment.data
    return outer.first(outer.learned(), data, SEED)[0], data


def test_the_gradient_is_that_of_the_closed_form():
    outer = toy.outer()
    state, data = begin(outer)
    batch = outer.batch(data, SEED, state.step)
    outcome, slope = outer.slope(state.parameters, data, batch, None)
    value, expected = jax.value_and_grad(toy.closed_form)(state.parameters.log_weight, batch)
    np.testing.assert_allclose(outcome.loss, value, rtol=1e-8)
    np.testing.assert_allclose(slope.log_weight, expected, rtol=1e-7)


@pytest.mark.parametrize("parts", [2, 4])
def test_parts_of_a_batch_add_up_to_the_whole(parts):
    whole, divided = toy.outer(), toy.outer(accumulate=parts)
    state, data = begin(whole)
    batch = whole.batch(data, SEED, state.step)
    one, slope = whole.slope(state.parameters, data, batch, None)
    many, sum_of_slopes = divided.slope(state.parameters, data, batch, None)
    np.testing.assert_allclose(one.loss, many.loss, rtol=1e-12)
    np.testing.assert_allclose(slope.log_weight, sum_of_slopes.log_weight, rtol=1e-12)
    assert many.status.size == toy.PROBLEMS


def test_warm_starts_keep_their_order_in_parts():
    def loss(weights, scale, batch, carry):
        outcome = toy.loss(weights, scale, batch, None)
        return outcome._replace(carry=carry + jnp.arange(len(carry), dtype=carry.dtype)[:, None])

    changes = {"loss": loss, "start": lambda batch: batch.seen}
    outer = toy.outer(accumulate=4, **changes)
    state, data = begin(outer)
    batch = outer.batch(data, SEED, state.step)
    after = outer.slope(state.parameters, data, batch, state.carry)[0].carry
    part = jnp.tile(jnp.arange(2.0), 4)[:, None]
    np.testing.assert_allclose(after, batch.seen + part)


def test_a_carry_of_another_form_is_refused():
    def loss(*arguments):
        outcome = toy.loss(*arguments)
        return outcome._replace(carry=outcome.loss)

    for changes in ({}, {"start": lambda batch: batch.seen}):
        outer = toy.outer(loss=loss, **changes)
        state, data = begin(outer)
        with pytest.raises(ValueError, match=r"returns a carry of .*Experiment\.start"):
            outer.step(state, data, SEED, NO_SIGNAL)


def test_steps_draw_different_problems_and_the_same_again():
    outer = toy.outer()
    data = outer.experiment.data
    first, again, other = (outer.batch(data, SEED, jnp.asarray(k)).truth for k in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.any(np.isclose(first, other))


def test_only_inexact_arrays_are_learned():
    outer = toy.outer()
    learned = jax.tree.leaves(outer.learned())
    assert len(learned) == 1
    assert outer.complete(outer.learned()).name == "ridge"


def bad_at(step, kind):
    def sample(scale, key):
        batch = toy.sample(scale, key)
        wanted = jax.random.fold_in(jax.random.key(SEED), step)
        hit = jnp.all(jax.random.key_data(key) == jax.random.key_data(wanted))
        return batch._replace(truth=jnp.where(hit, kind, batch.truth))

    return sample


@pytest.mark.parametrize("kind", [jnp.nan, jnp.inf])
def test_a_bad_step_is_latched_with_the_state_before_it(kind):
    outer = toy.outer(sample=bad_at(1, kind))
    state, data = begin(outer)
    step = jax.jit(outer.step)
    good, record = step(state, data, SEED, NO_SIGNAL)
    assert bool(record.good)
    latched, record = step(good, data, SEED, NO_SIGNAL)
    assert not bool(record.good)
    assert int(latched.bad_step) == 1
    for before, after in zip(jax.tree.leaves(good[:4]), jax.tree.leaves(latched[:4]), strict=True):
        assert np.array_equal(before, after)
    later, record = step(latched, data, SEED, NO_SIGNAL)
    assert not bool(record.good)
    assert int(later.step) == 1


def test_a_bad_step_that_may_be_skipped_leaves_all_but_the_counts():
    outer = toy.outer(sample=bad_at(1, jnp.nan), max_skipped=1)
    state, data = begin(outer)
    step = jax.jit(outer.step)
    good, record = step(state, data, SEED, NO_SIGNAL)
    assert int(record.skipped) == 0
    skipped, record = step(good, data, SEED, NO_SIGNAL)
    assert bool(record.good)
    assert (int(skipped.step), int(skipped.skipped), int(skipped.bad_step)) == (2, 1, -1)
    kept = [(state.parameters, state.optimizer, state.carry) for state in (good, skipped)]
    for before, after in zip(*map(jax.tree.leaves, kept), strict=True):
        assert np.array_equal(before, after)
    later, record = step(skipped, data, SEED, NO_SIGNAL)
    assert bool(record.good)
    assert int(later.step) == 3
    assert not np.array_equal(*(jax.tree.leaves(s.parameters)[0] for s in (skipped, later)))


def test_one_bad_step_more_than_may_be_skipped_is_latched():
    outer = toy.outer(sample=bad_at(1, jnp.nan), max_skipped=1)
    state, data = begin(outer)
    state = state._replace(skipped=jnp.asarray(1, jnp.int32))
    good, _ = outer.step(state, data, SEED, NO_SIGNAL)
    latched, record = outer.step(good, data, SEED, NO_SIGNAL)
    assert not bool(record.good)
    assert (int(latched.step), int(latched.bad_step), int(latched.skipped)) == (1, 1, 1)


def test_failed_solves_make_a_step_bad_unless_they_are_allowed():
    def loss(*arguments):
        return toy.loss(*arguments, gradient=uj.Implicit(on_failure="ignore"), max_steps=2)

    for allowed, expected in ((0.0, False), (0.9, False), (1.0, True)):
        outer = toy.outer(max_failed=allowed, loss=loss)
        state, data = begin(outer)
        record = outer.step(state, data, SEED, NO_SIGNAL)[1]
        assert bool(record.good) is expected
        assert int(record.statuses[uj.Status.MAX_STEPS]) == toy.PROBLEMS


def test_the_largest_signal_of_all_devices_is_reported():
    outer = toy.outer()
    state, data = begin(outer)
    assert int(outer.step(state, data, SEED, jnp.asarray([15], jnp.int32))[1].signal) == 15
