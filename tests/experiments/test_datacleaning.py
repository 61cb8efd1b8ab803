"""Data hyper-cleaning against scikit-learn, finite differences, and the truth about the labels."""

import gzip
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pooch
import pytest
from sklearn.linear_model import LogisticRegression

import unrolljax as uj
from experiments.datacleaning import __main__ as experiment
from experiments.datacleaning import mnist
from experiments.datacleaning.compare import choices, fit
from experiments.datacleaning.data import Data, Samples, load
from experiments.datacleaning.problem import (
    Regression,
    Training,
    Validation,
    accuracy,
    f1,
    nesterov,
)
from unrolljax import bilevel
from unrolljax.lab import run
from unrolljax.lab.config.validate import load as configure

CONFIGS = Path(__file__).parents[2] / "configs"
RANDOM = np.random.default_rng(0)
RIDGE = 0.02


def draw(size: int) -> Samples:
    labels = np.concatenate([np.arange(10), RANDOM.integers(0, 10, size - 10)])
    return Samples(jnp.asarray(RANDOM.normal(size=(size, 4))), jnp.asarray(labels, jnp.int32))


@pytest.fixture(scope="module")
def samples():
    return draw(30)


@pytest.fixture(scope="module")
def shares():
    return jnp.asarray(RANDOM.uniform(size=30)) / 30


def test_the_asked_for_share_of_labels_is_wrong():
    clean, mixed = (load("digits", 500, 200, share, seed=3) for share in (0.0, 0.3))
    np.testing.assert_array_equal(clean.training.features, mixed.training.features)
    np.testing.assert_array_equal(clean.training.labels != mixed.training.labels, mixed.wrong)
    assert int(jnp.sum(mixed.wrong)) == 150
    assert set(np.asarray(mixed.training.labels)) == set(range(10))
    np.testing.assert_allclose(jnp.mean(mixed.training.features[:, :-1], axis=0), 0, atol=1e-12)


def test_no_image_is_in_two_sets_and_too_many_are_refused():
    data = load("digits", 600, 400, 0.5, seed=0)
    sets = [{row.tobytes() for row in np.asarray(part.features)} for part in data[:3]]
    assert [len(part.labels) for part in data[:3]] == [600, 400, 797]
    assert not sets[0] & sets[1] | sets[0] & sets[2] | sets[1] & sets[2]
    with pytest.raises(ValueError, match="training=1000 and validation=797"):
        load("digits", 1000, 797, 0.5, seed=0)


def test_the_model_is_that_of_scikit_learn(samples, shares):
    model = fit(samples, shares, jnp.asarray(RIDGE))
    other = LogisticRegression(C=1 / (2 * RIDGE), fit_intercept=False, tol=1e-10, max_iter=1000)
    other.fit(samples.features, samples.labels, sample_weight=shares)
    np.testing.assert_allclose(model, other.coef_.T, atol=1e-5)
    predicted = 100 * other.score(samples.features, samples.labels)
    np.testing.assert_allclose(accuracy(model, samples), predicted)


def test_the_solver_knows_the_curvature_of_every_weighting(samples):
    problem = Regression(samples, jnp.full(30, 1 / 30), jnp.asarray(RIDGE))
    solver, hessian = nesterov(samples, RIDGE), jax.jit(jax.hessian(problem.objective))
    for size in (0.0, 1.0):
        model = size * jnp.asarray(RANDOM.normal(size=(4, 10)))
        values = np.linalg.eigvalsh(hessian(model).reshape(40, 40))
        assert float(values[0]) >= 2 * RIDGE * (1 - 1e-9)
        assert float(values[-1]) <= 1 / float(solver.step_size)


@pytest.mark.parametrize(
    "mode",
    [uj.Implicit(tol=1e-10), uj.Truncated(depth=150), uj.Unroll()],
    ids=lambda m: type(m).__name__,
)
def test_hypergradients_agree_with_differences(samples, mode):
    outer, stop = Validation(draw(20)), uj.Stop(250, 1e-12)
    training, solver = Training(samples, jnp.asarray(RIDGE)), nesterov(samples, RIDGE)
    log_odds = jnp.asarray(RANDOM.normal(size=30))
    found = bilevel.hypergradient(
        outer, solver, training, log_odds, jnp.zeros((4, 10)), gradient=mode, stop=stop
    )
    tight = uj.solvers.Newton()

    def value(log_odds):
        solution = uj.solve(tight, training(log_odds), jnp.zeros((4, 10)), gradient=uj.Detach())
        return outer(log_odds, solution.value)

    direction, h = jnp.asarray(RANDOM.normal(size=30)), 1e-3
    ends = [value(log_odds + k * h * direction) for k in (-2, -1, 1, 2)]
    difference = (ends[0] - 8 * ends[1] + 8 * ends[2] - ends[3]) / (12 * h)
    np.testing.assert_allclose(found.gradient @ direction, difference, rtol=1e-6)


@pytest.mark.parametrize("mode", ["implicit", "truncated"])
def test_training_finds_the_wrong_labels(mode, tmp_path):
    short = ["preset=quick", "train.steps=15", f"gradient={mode}", "precision=float64"]
    short += ["certified=false", "training=300", "validation=200"]
    config = configure(experiment.Config, CONFIGS, "datacleaning", short)
    with jax.numpy_dtype_promotion("standard"):
        training = run.prepare(experiment.build(config), config, tmp_path)
        lines = []
        log_odds = training.run(lines.append)
    data: Data = training.outer.experiment.data
    # All flagged, or half of them at random, have F1 of 0.67 and 0.5.
    assert float(f1(log_odds < 0, data.wrong)) > 0.85
    lines = [line for line in lines if "loss" in line]
    assert lines[-1]["loss"] < 0.8 * lines[0]["loss"]
    assert lines[-1]["test accuracy"] > lines[0]["test accuracy"] + 2
    if mode == "implicit":
        for name in ("inner steps", "adjoint steps"):
            assert all(line[name] < 0.7 * lines[0][name] for line in lines[1:])


def test_choices_weigh_what_they_name():
    wrong = jnp.asarray([True, False, True, False])
    log_odds = jnp.asarray([-1.0, 2.0, 3.0, -4.0])
    empty = Samples(jnp.zeros((4, 1)), jnp.zeros(4, jnp.int32))
    chosen = choices(log_odds, Data(empty, empty, empty, wrong))
    expected = {
        "all samples": ([1, 1, 1, 1], 4),
        "learned weights": (1 / (1 + np.exp([1.0, -2.0, -3.0, 4.0])), 4),
        "samples kept": ([0, 1, 1, 0], 2),
        "clean samples": ([0, 1, 0, 1], 2),
    }
    assert set(chosen) == set(expected)
    for name, (weights, count) in expected.items():
        np.testing.assert_allclose(chosen[name].weights, weights)
        assert float(chosen[name].count) == count
    np.testing.assert_allclose(f1(log_odds < 0, wrong), 0.5)
    assert float(f1(jnp.zeros(4, bool), jnp.zeros(4, bool))) == 0


def test_mnist_is_read_from_its_files(tmp_path, monkeypatch):
    pixels, labels = RANDOM.integers(0, 256, (3, 784), np.uint8), bytes([7, 2, 1])
    contents = {"images-idx3": bytes(16) + pixels.tobytes(), "labels-idx1": bytes(8) + labels}
    for kind, content in contents.items():
        (tmp_path / f"t10k-{kind}-ubyte.gz").write_bytes(gzip.compress(content))
    monkeypatch.setattr(pooch.Pooch, "fetch", lambda self, name: str(tmp_path / name))
    read = mnist.test()
    np.testing.assert_allclose(read.images * 255, pixels)
    assert read.labels.tolist() == [7, 2, 1]


def test_mnist_without_a_network_says_what_to_do(monkeypatch):
    def fail(self, name):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(pooch.Pooch, "fetch", fail)
    with pytest.raises(OSError, match=r"data=mnist could not be downloaded .* set data=digits"):
        load("mnist", 5, 5, 0.5, seed=0)
