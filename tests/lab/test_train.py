"""The outer loop: against a loop by hand, interrupted, resumed, stopped early, failed."""

import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toy

from unrolljax.lab.compilations import counted
from unrolljax.lab.ends import Interrupted
from unrolljax.lab.manifest import digest
from unrolljax.lab.train import BadStep


def run(folder, settings=None, **changes):
    """The lines and the hash of a run."""
    lines = []
    learned = toy.training(folder, settings, **changes).run(lines.append)
    return lines, digest(learned)


def test_it_trains_as_a_loop_by_hand_does(tmp_path):
    training = toy.training(tmp_path)
    lines = []
    learned = training.run(lines.append)
    weights, optimizer = jnp.zeros(toy.SIZE), optax.adam(0.1)
    state, losses = optimizer.init(weights), []
    for step in range(12):
        key = jax.random.fold_in(jax.random.key(0), step)
        batch = toy.sample(jnp.full(toy.SIZE, 2.0), key)
        value, slope = jax.value_and_grad(toy.closed_form)(weights, batch)
        updates, state = optimizer.update(slope, state)
        weights = optax.apply_updates(weights, updates)
        losses.append(float(value))
    np.testing.assert_allclose(learned.log_weight, weights, rtol=1e-6)
    steps = [line for line in lines if "loss" in line]
    np.testing.assert_allclose([line["loss"] for line in steps], losses, rtol=1e-7)
    assert [line["step"] for line in steps] == list(range(1, 13))
    assert all(line["status"] == {"CONVERGED": toy.PROBLEMS} for line in steps)
    evaluations = [line for line in lines if "evaluation/loss" in line]
    assert [line["step"] for line in evaluations] == [4, 8, 12]
    held_out = training.outer.experiment.held_out
    expected = toy.closed_form(weights, held_out)
    np.testing.assert_allclose(evaluations[-1]["evaluation/loss"], expected, rtol=1e-6)


def test_nothing_compiles_after_the_warm_up(tmp_path):
    training = toy.training(tmp_path, {"patience": 5})
    with counted() as compiled:
        training.run(lambda line: None)
    assert compiled.count == 0
    with counted() as compiled:
        jax.jit(lambda x: x + 1)(jnp.ones(7))
    assert compiled.count > 0


class Kill(Exception):
    """Stands for a crash: nothing is saved."""


@pytest.mark.parametrize("at", [1, 4, 6, 11, 12])
def test_a_crash_at_any_step_changes_nothing_after_resuming(tmp_path, at):
    whole, expected = run(tmp_path / "whole")

    def crash(line):
        lines.append(line)
        if line["step"] == at:
            raise Kill

    lines = []
    with pytest.raises(Kill):
        toy.training(tmp_path / "torn").run(crash)
    training = toy.training(tmp_path / "torn")
    assert training.done == max([0, *(s for s in (5, 10) if s < at)])
    kept = [line for line in lines if line["step"] <= training.done]
    learned = training.run(kept.append)
    assert kept == whole
    assert digest(learned) == expected


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_saves_within_one_step(tmp_path, number):
    whole, expected = run(tmp_path / "whole")
    lines = []

    def send(line):
        lines.append(line)
        if line["step"] == 7:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    training = toy.training(tmp_path / "ended")
    with pytest.raises(Interrupted) as caught:
        training.run(send)
    assert caught.value.code == 128 + number
    assert signal.getsignal(number) == before
    # While step 7 was being read, step 8 was running.
    assert training.done <= 9
    again = toy.training(tmp_path / "ended")
    assert again.done == training.done == lines[-1]["step"]
    learned = again.run(lines.append)
    assert lines == whole
    assert digest(learned) == expected


def test_a_longer_run_continues_a_shorter_one(tmp_path):
    run(tmp_path / "a", {"steps": 5})
    lines, sha256 = run(tmp_path / "a")
    whole, expected = run(tmp_path / "b")
    assert sha256 == expected
    assert lines == [line for line in whole if line["step"] > 5]


def test_a_finished_run_only_returns_its_parameters(tmp_path):
    _, expected = run(tmp_path)
    lines, sha256 = run(tmp_path)
    assert lines == []
    assert sha256 == expected


def worse_and_worse(weights, scale, batch, carry):
    """Steps towards the optimum, and an evaluation that would rather have stayed at zero."""
    outcome = toy.loss(weights, scale, batch, carry)
    away = jnp.sum(jnp.abs(weights.log_weight))
    held_out = batch.seen.shape[0] == 5
    return outcome._replace(loss=away if held_out else outcome.loss)


def test_training_ends_early_with_the_best_parameters(tmp_path):
    held_out = jax.tree.map(lambda leaf: leaf[:5], toy.experiment().held_out)
    settings = {"steps": 50, "evaluate_every": 2, "patience": 3}
    changes = {"loss": worse_and_worse, "held_out": held_out}
    training = toy.training(tmp_path, settings, **changes)
    lines = []
    learned = training.run(lines.append)
    evaluations = [line for line in lines if "evaluation/loss" in line]
    assert [line["step"] for line in evaluations] == [2, 4, 6, 8]
    assert training.done == 8
    best = evaluations[0]["evaluation/loss"]
    np.testing.assert_allclose(np.sum(np.abs(learned.log_weight)), best, rtol=1e-12)


def test_patience_is_remembered_over_a_crash(tmp_path):
    held_out = jax.tree.map(lambda leaf: leaf[:5], toy.experiment().held_out)
    settings = {"steps": 50, "evaluate_every": 2, "patience": 3, "checkpoint_every": 3}
    changes = {"loss": worse_and_worse, "held_out": held_out}

    def crash(line):
        if line["step"] == 7:
            raise Kill

    with pytest.raises(Kill):
        toy.training(tmp_path / "torn", settings, **changes).run(crash)
    again = toy.training(tmp_path / "torn", settings, **changes)
    assert again.best.stale == 2
    resumed = again.run(lambda line: None)
    assert again.done == 8
    assert digest(resumed) == run(tmp_path / "whole", settings, **changes)[1]


def test_a_bad_step_ends_training_before_it_is_written(tmp_path):
    def sample(scale, key):
        batch = toy.sample(scale, key)
        bad = jnp.all(jax.random.key_data(key) == jax.random.key_data(wanted))
        return batch._replace(seen=jnp.where(bad, jnp.nan, batch.seen))

    wanted = jax.random.fold_in(jax.random.key(0), 6)
    lines = []
    with pytest.raises(BadStep) as caught:
        toy.training(tmp_path, sample=sample).run(lines.append)
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4, 5, 6]
    assert caught.value.line["step"] == 7
    assert caught.value.line["status"] == {"NONFINITE": toy.PROBLEMS}
    assert int(caught.value.state.step) == int(caught.value.state.bad_step) == 6


def test_a_bad_step_that_may_be_skipped_is_counted_and_training_goes_on(tmp_path):
    def sample(scale, key):
        batch = toy.sample(scale, key)
        bad = jnp.all(jax.random.key_data(key) == jax.random.key_data(wanted))
        return batch._replace(seen=jnp.where(bad, jnp.nan, batch.seen))

    wanted = jax.random.fold_in(jax.random.key(0), 3)
    lines = []
    toy.training(tmp_path, {"max_skipped": 1}, sample=sample).run(lines.append)
    steps = [line for line in lines if "loss" in line]
    assert [line["step"] for line in steps] == list(range(1, 13))
    assert [line.get("skipped", 0) for line in steps] == [0] * 3 + [1] * 9


def test_callbacks_do_not_see_more_than_one_step_behind(tmp_path):
    training = toy.training(tmp_path)
    behind = []
    training.run(lambda line: behind.append(training.done - line["step"]))
    assert max(behind) == 1


def test_batches_that_do_not_divide_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"8 problems .* train\.accumulate=3"):
        toy.training(tmp_path, accumulate=3)

    def sample(scale, key):
        return toy.sample(scale, key), scale

    with pytest.raises(ValueError, match="one leading axis of problems"):
        toy.training(tmp_path, sample=sample)
