"""Ensembles, errors in dB, search, stages, gradients: each against what it must give."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import unrolljax as uj
from unrolljax.sparse import training
from unrolljax.sparse.networks import ALISTA, HybridLISTA, after_each_layer, decode
from unrolljax.sparse.networks.alista import ALISTALayer
from unrolljax.sparse.partition import Blocks


def test_ensembles_have_their_sparsity_and_noise(sensing):
    ensemble = training.Ensemble(0.2, 20.0, Blocks(4))
    codes = ensemble.draw(sensing, jax.random.key(0), 2000)
    active = np.any(np.asarray(codes.x).reshape(2000, 20, 4) != 0, axis=2)
    assert abs(active.mean() - 0.2) < 0.01
    assert np.array_equal(active, np.all(np.asarray(codes.x).reshape(2000, 20, 4) != 0, axis=2))
    clean = codes.x @ sensing.A.T
    snr = 20 * np.log10(np.std(clean) / np.std(codes.y - clean))
    assert abs(snr - 20) < 0.1
    silent = training.Ensemble(0.2).draw(sensing, jax.random.key(0), 5)
    np.testing.assert_allclose(silent.y, silent.x @ sensing.A.T, atol=1e-12)


def test_the_two_metrics_are_their_definitions():
    truth = jnp.array([[2.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    found = jnp.array([[2.0, 0.2], [0.0, 0.0], [0.0, 0.0]])
    assert jnp.isclose(training.total_nmse(found, truth), 10 * np.log10(1.04 / 5))
    assert jnp.isclose(training.mean_nmse(found, truth), (-20 + 0) / 2)
    assert training.total_nmse(truth, truth) < -300
    assert jnp.all(jnp.isfinite(jax.grad(training.total_nmse)(truth, truth)))


def test_tuning_finds_the_deeper_of_two_basins():
    def objective(c):
        u, v = np.log(c)
        return min((u - 1) ** 2 + v**2, (u + 1) ** 2 + (v - 0.5) ** 2 - 0.5) if u < 2 else np.nan

    found = training.tune(objective, np.full(2, 0.05), np.full(2, 20.0), 32, 3, 200)
    np.testing.assert_allclose(np.log(found.numbers), [-1, 0.5], atol=2e-3)
    assert found.value == pytest.approx(-0.5, abs=1e-5)
    with pytest.raises(ValueError, match="box"):
        training.tune(lambda c: np.nan, np.full(2, 0.1), np.ones(2))


def test_search_takes_the_best_candidate_of_each_layer(sensing, codes):
    logs = jnp.log(jnp.geomspace(1e-3, 1, 9))
    candidates = ALISTALayer(jnp.zeros(9), logs)
    network = ALISTA.start(4, dtype=jnp.float64)
    searched, errors = training.search_layers(network, candidates, sensing, codes)
    each = after_each_layer(searched, sensing, codes.y)
    np.testing.assert_allclose(jax.vmap(training.total_nmse, (0, None))(each, codes.x), errors)
    first = [
        float(training.total_nmse(decode(one, sensing, codes.y).value, codes.x))
        for one in (ALISTA.start(1, 1.0, jnp.exp(t), dtype=jnp.float64) for t in logs)
    ]
    assert errors[0] == pytest.approx(min(first), abs=1e-9)
    assert errors[-1] < errors[0]


@pytest.mark.usefixtures("standard_promotion")
def test_training_improves_on_codes_not_seen_and_keeps_the_best(sensing, codes):
    task = training.Task(sensing, (training.Ensemble(0.06),), problems=32)
    start = HybridLISTA.start(6, dtype=jnp.float64)
    found = training.trained(start, task, jax.random.key(0), steps=60)
    before = training.total_nmse(decode(start, sensing, codes.y).value, codes.x)
    after = training.total_nmse(decode(found.parameters, sensing, codes.y).value, codes.x)
    assert found.status == uj.Status.COMPLETED
    assert after < before - 5
    validation = training.draw_mixture(
        task.ensembles, sensing, jax.random.fold_in(jax.random.key(0), 1), 64
    )
    best = training.loss(found.parameters, task, validation)
    assert best == pytest.approx(float(jnp.min(found.validation)), abs=1e-6)


def square(parameters, data, batch):
    return jnp.sum((parameters["a"] - data) ** 2) + jnp.sum(parameters["b"] ** 2) + 0 * batch


def draw_nan_sometimes(data, key):
    return jnp.where(jax.random.bernoulli(key, 0.5), jnp.nan, 0.0) * data


@pytest.mark.usefixtures("standard_promotion")
def test_steps_without_a_finite_gradient_move_nothing_and_are_counted():
    parameters = {"a": jnp.zeros(()), "b": jnp.ones(())}
    args = (parameters, jnp.asarray(1.0), draw_nan_sometimes, optax.sgd(0.2), 40)
    found = training.fit(square, *args, jax.random.key(0), jnp.zeros(()))
    assert 5 < found.skipped < 35
    assert square(found.parameters, 1.0, 0.0) < 1e-3
    hopeless = training.fit(square, *args, jax.random.key(0), jnp.asarray(jnp.nan))
    assert hopeless.status == uj.Status.NONFINITE
    assert hopeless.parameters["b"] == 1


@pytest.mark.usefixtures("standard_promotion")
def test_every_kind_of_number_has_its_own_rate():
    parameters = {"a": jnp.zeros(()), "b": jnp.ones(())}
    network = HybridLISTA.start(2, dtype=jnp.float64)
    adam = training.grouped_adam(1e-2, 10, log_step=1e-4)
    slopes = jax.tree.map(jnp.ones_like, network)
    updates, _ = adam.update(slopes, adam.init(network), network)
    np.testing.assert_allclose(updates.layers.log_step, -1e-4, rtol=1e-4)
    np.testing.assert_allclose(updates.layers.log_threshold, -1e-2, rtol=1e-4)
    assert training.grouped_adam(1e-2, 10, log_step=1e-4) is adam
    assert training.bounded_adam(0.1, 5).update(
        parameters, training.bounded_adam(0.1, 5).init(parameters)
    )


@pytest.mark.usefixtures("standard_promotion")
def test_stages_train_one_layer_after_the_other(sensing, codes):
    ensembles = (training.Ensemble(0.06),)
    start = ALISTA.start(3, 1.0, 0.3, dtype=jnp.float64)
    args = (sensing, ensembles, training.bounded_adam(0.1, 20), 20, jax.random.key(0), 32)
    network, losses = training.train_stages(start, *args)
    assert jnp.all(jnp.diff(losses) < 0)
    errors = [
        jax.vmap(training.total_nmse, (0, None))(after_each_layer(net, sensing, codes.y), codes.x)
        for net in (start, network)
    ]
    assert jnp.all(errors[1] < errors[0])
    frozen, _ = training.train_stages(start, *args, former=0.0)
    assert frozen.layers.log_threshold[0] != network.layers.log_threshold[0]


def test_the_oracle_recovers_without_noise_and_lasso_codes_are_fista(sensing, codes):
    np.testing.assert_allclose(training.oracle_codes(sensing, codes), codes.x, atol=1e-10)
    weight = training.best_weight(sensing, codes, 40, True)
    found = training.lasso_codes(sensing, codes.y, weight, 40, True)
    others = [
        training.total_nmse(training.lasso_codes(sensing, codes.y, w, 40, True), codes.x)
        for w in (0.5 * weight, 2 * weight)
    ]
    assert training.total_nmse(found, codes.x) <= min(others) + 0.5


def test_records_are_checked():
    with pytest.raises(ValueError, match="records=9"):
        training.fit(
            square, {}, None, draw_nan_sometimes, optax.sgd(1.0), 5, jax.random.key(0), 0, 9
        )
