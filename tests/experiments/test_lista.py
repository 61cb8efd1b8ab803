"""The experiment on learned ISTA: every network starts and learns; the outcome is what it says."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.lista.networks import start
from experiments.lista.outcome import PROBABILITIES, RATIOS, errors_by_layer, sweep
from unrolljax.sparse import training
from unrolljax.sparse.networks import HybridLISTA, decode
from unrolljax.sparse.sensing import Sensing

NAMES = ("hybrid", "blended", "hyper", "alista", "cpss", "glista", "slista", "lista")


@pytest.fixture(scope="module")
def task(sensing):
    return training.Task(sensing, (training.Ensemble(0.06),), problems=8)


@pytest.fixture(scope="module")
def sensing():
    A = np.random.default_rng(0).standard_normal((24, 48))
    return Sensing.of(A / np.linalg.norm(A, axis=0))


@pytest.mark.parametrize("name", NAMES)
def test_every_network_starts_with_a_gradient_that_agrees_with_differences(name, task, sensing):
    network = start(name, task, sensing, 3, jax.random.key(0))
    codes = training.sample(task, jax.random.key(1))

    @jax.jit
    def loss(layers):
        return training.loss(eqx.tree_at(lambda n: n.layers, network, layers), task, codes)

    field = "log_step" if name == "slista" else "log_threshold"
    value, slopes = jax.jit(jax.value_and_grad(loss))(network.layers)
    before, after = (
        loss(network.layers._replace(**{field: getattr(network.layers, field) + h}))
        for h in (-1e-6, 1e-6)
    )
    assert value < 0
    slope = float(jnp.sum(getattr(slopes, field)))
    assert slope == pytest.approx(float(after - before) / 2e-6, rel=1e-4, abs=1e-6)


def test_curves_end_where_decoding_ends_and_fista_leads_ista(task, sensing):
    codes = training.sample(task, jax.random.key(1))
    network = HybridLISTA.start(6, dtype=jnp.float64)
    curves = errors_by_layer(network, sensing, codes, 6)
    found = decode(network, sensing, codes.y).value
    assert curves["learned"][-1] == pytest.approx(float(training.total_nmse(found, codes.x)))
    assert curves["FISTA"][-1] < curves["ISTA"][-1] < 0


def test_noise_and_density_cost(sensing):
    shift = sweep(HybridLISTA.start(6, dtype=jnp.float64), sensing, jax.random.key(0), 64)
    assert shift.error.shape == (len(RATIOS), len(PROBABILITIES))
    assert shift.error[0, 0] > shift.error[-1, 0]
    assert shift.error[-1, -1] > shift.error[-1, 0]
