"""Every network against plain NumPy or the solver that it starts from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unrolljax as uj
from unrolljax import sparse
from unrolljax.sparse.networks import (
    ALISTA,
    GLISTA,
    LISTA,
    SLISTA,
    CoupledLISTA,
    HybridLISTA,
    HyperLISTA,
    Selection,
    after_each_layer,
    decode,
)
from unrolljax.sparse.networks.hybrid import HybridLayer

DEPTH, STEP, WEIGHT = 6, 0.3, 0.05


def ista(sensing, y, steps=DEPTH):
    solver, stop = uj.solvers.ProximalGradient(STEP), uj.Stop(steps, tol=None)
    problem, start = sparse.Lasso(sensing.A, y, WEIGHT), jnp.zeros(80)
    return uj.solve(solver, problem, start, gradient=uj.Detach(), stop=stop).value


def starts(sensing):
    threshold = STEP * WEIGHT
    return {
        "LISTA": LISTA.start(sensing, DEPTH, STEP, threshold),
        "CoupledLISTA": CoupledLISTA.start(sensing, DEPTH, STEP, threshold),
        "SLISTA": SLISTA.start(DEPTH, STEP, WEIGHT, dtype=jnp.float64),
    }


@pytest.mark.parametrize("name", ["LISTA", "CoupledLISTA", "SLISTA"])
def test_networks_start_as_ista(name, sensing, codes):
    found = decode(starts(sensing)[name], sensing, codes.y)
    np.testing.assert_allclose(
        found.value, jax.vmap(lambda y: ista(sensing, y))(codes.y), atol=1e-12
    )
    assert jnp.all(found.status == uj.Status.COMPLETED)


def soft(v, threshold):
    return np.sign(v) * np.maximum(np.abs(v) - threshold, 0)


def select(v, threshold, count):
    rank = np.argsort(np.argsort(-np.abs(v)))
    kept = np.where(np.abs(v) > threshold, v, 0)
    return np.where(rank < int(count), kept, soft(v, threshold))


def test_alista_is_its_formula(sensing, codes):
    rng = np.random.default_rng(0)
    steps, thresholds = rng.uniform(0.8, 1.2, DEPTH), rng.uniform(0.01, 0.2, DEPTH)
    network = ALISTA.start(DEPTH, selection=Selection(0.02, 0.05), dtype=jnp.float64)
    layers = network.layers._replace(
        log_step=jnp.log(jnp.asarray(steps)), log_threshold=jnp.log(jnp.asarray(thresholds))
    )
    network = ALISTA(layers, network.selection)
    A, W, y = map(np.asarray, (sensing.A, sensing.W, codes.y[0]))
    x = np.zeros(80)
    for k in range(DEPTH):
        v = x - steps[k] * (W.T @ (A @ x - y))
        x = select(v, thresholds[k], 80 * min(0.02 * (k + 1), 0.05))
    np.testing.assert_allclose(decode(network, sensing, codes.y[:1]).value[0], x, atol=1e-12)


def test_hyperlista_is_its_formula_with_the_pseudo_inverse(sensing, codes):
    c1, c2, c3 = 3.0, 1.2, 0.2
    network = HyperLISTA.start((c1, c2, c3), dtype=jnp.float64)
    A, W, y = map(np.asarray, (sensing.A, sensing.W, codes.y[0]))
    x = before = np.zeros(80)
    first = np.mean(np.abs(W.T @ y))
    for _ in range(DEPTH):
        slope = W.T @ (A @ x - y)
        scale = np.mean(np.abs(slope))
        v = x - slope + c2 * np.mean(x != 0) * (x - before)
        count = 80 * np.clip(c3 * np.log(first / scale), 0, 1)
        x, before = select(v, c1 * scale, count), x
    found = decode(network, sensing, codes.y[:1], stop=uj.Stop(DEPTH, tol=None)).value[0]
    np.testing.assert_allclose(found, x, atol=1e-11)


@pytest.mark.parametrize("blended", [False, True])
def test_the_hybrid_is_its_formula(blended, sensing, codes):
    rng = np.random.default_rng(0)
    numbers = rng.uniform(0.8, 1.2, (5, DEPTH)) * np.array([[1.1], [3.0], [1.2], [3.0], [0.3]])
    logs = [jnp.log(jnp.asarray(row)) for row in numbers]
    network = HybridLISTA(HybridLayer(*logs) if blended else HybridLayer(*logs[:4]))
    A, W, y = map(np.asarray, (sensing.A, sensing.W, codes.y[0]))
    x = before = np.zeros(80)
    for step, factor, momentum, sharpness, blend in numbers.T:
        slope = ((1 - blend * blended) * W + blend * blended * A).T @ (A @ x - y)
        threshold = factor * np.mean(np.abs(slope))
        in_use = np.mean(x**2 / (x**2 + threshold**2))
        v = x - step * slope + momentum * in_use * (x - before)
        x, before = v / (1 + np.exp(-sharpness * (v**2 / threshold**2 - 1))), x
    np.testing.assert_allclose(decode(network, sensing, codes.y[:1]).value[0], x, atol=1e-11)


def test_glista_is_its_formula(sensing, codes):
    network = GLISTA.start(sensing, DEPTH, 0.1, Selection(0.02, 0.05))
    A, W, y = map(np.asarray, (sensing.A, sensing.W, codes.y[0]))
    x = np.zeros(80)
    for k in range(DEPTH):
        enlarged = x * (1 + 0.1 * np.exp(-np.abs(x)))
        v = enlarged - W.T @ (A @ enlarged - y)
        shrunk = select(v, 0.1, 80 * min(0.02 * (k + 1), 0.05))
        move = shrunk - x
        x = np.where(shrunk != 0, x + (1 + 1e-3 / (np.abs(move) + 0.1)) * move, 0)
    np.testing.assert_allclose(decode(network, sensing, codes.y[:1]).value[0], x, atol=1e-11)


def test_a_coupled_network_does_what_its_alista_does(sensing, codes):
    alista = ALISTA.start(DEPTH, 0.9, 0.1, Selection(0.02, 0.1), dtype=jnp.float64)
    coupled = CoupledLISTA.from_alista(alista, sensing)
    expected = decode(alista, sensing, codes.y).value
    np.testing.assert_allclose(decode(coupled, sensing, codes.y).value, expected, atol=1e-12)


def networks(sensing):
    hyper = HyperLISTA.start((3.0, 1.2, 0.2), dtype=jnp.float64)
    hybrid = HybridLISTA.start(DEPTH, blended=True, dtype=jnp.float64)
    alista = ALISTA.start(DEPTH, dtype=jnp.float64)
    return [*starts(sensing).values(), hyper, hybrid, alista, GLISTA.start(sensing, DEPTH, 0.1)]


@pytest.mark.parametrize("which", range(7))
def test_nothing_measured_is_nothing_found_with_finite_derivatives(which, sensing):
    network, stop = networks(sensing)[which], uj.Stop(DEPTH, tol=None)

    def energy(network, y):
        return jnp.sum(decode(network, sensing, y, stop=stop).value ** 2)

    value, slopes = jax.jit(jax.value_and_grad(energy, (0, 1)))(network, jnp.zeros((2, 40)))
    assert value == 0
    assert all(jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(slopes))


def test_after_each_layer_ends_with_the_codes_of_decode(sensing, codes):
    network = HybridLISTA.start(DEPTH, dtype=jnp.float64)
    each = after_each_layer(network, sensing, codes.y)
    assert each.shape == (DEPTH, *codes.x.shape)
    np.testing.assert_allclose(each[-1], decode(network, sensing, codes.y).value, atol=1e-13)
    third = decode(network, sensing, codes.y, stop=uj.Stop(3, tol=None)).value
    np.testing.assert_allclose(each[2], third, atol=1e-13)


def test_a_network_needs_a_layer():
    with pytest.raises(ValueError, match="depth=0"):
        ALISTA.start(0)
