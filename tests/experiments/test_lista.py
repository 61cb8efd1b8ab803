"""The learned ISTA against NumPy, closed forms and finite differences."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

import unrolljax as uj
from experiments.lista.baseline import lasso
from experiments.lista.codes import decibel, draw_codes, sense
from experiments.lista.layers import Layers, decode

DEPTH = 5


@pytest.fixture(scope="module")
def sensing():
    return sense(rows=8, columns=20, seed=0)


@pytest.fixture(scope="module")
def codes(sensing):
    return draw_codes(sensing, jax.random.key(1), problems=6, sparsity=0.3)


@pytest.fixture
def layers():
    return Layers(jnp.linspace(0.8, 1.2, DEPTH), jnp.log(jnp.linspace(0.2, 0.05, DEPTH)))


def test_the_analytic_weight_has_the_least_coherence(sensing):
    """It minimises `|W^T A|_F` subject to `w_i . a_i = 1` (Liu et al. 2019, section 3)."""
    A, W = np.asarray(sensing.A), np.asarray(sensing.W)
    np.testing.assert_allclose(np.linalg.norm(A, axis=0), 1)
    np.testing.assert_allclose(np.sum(W * A, axis=0), 1)
    column = A[:, 3]
    fit = minimize(
        lambda w: np.sum((A.T @ w) ** 2),
        column,
        jac=lambda w: 2 * A @ (A.T @ w),
        constraints={"type": "eq", "fun": lambda w: w @ column - 1, "jac": lambda w: column},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    np.testing.assert_allclose(W[:, 3], fit.x, atol=1e-5)


def test_the_layers_are_those_of_a_loop_by_hand(sensing, codes, layers):
    solution = decode(layers, sensing, codes.y, DEPTH, uj.Unroll())
    A, W, y = (np.asarray(v) for v in (sensing.A, sensing.W, codes.y))
    x = np.zeros_like(codes.x)
    for step_size, log_threshold in zip(layers.step_size, layers.log_threshold, strict=True):
        v = x - step_size * (x @ A.T - y) @ W
        x = np.sign(v) * np.maximum(np.abs(v) - np.exp(log_threshold), 0)
    np.testing.assert_allclose(solution.value, x, atol=1e-13)
    assert set(solution.status.tolist()) == {uj.Status.COMPLETED}


@pytest.mark.parametrize("name", ["step_size", "log_threshold"])
def test_the_gradient_agrees_with_differences(sensing, codes, layers, name):
    def loss(numbers, gradient):
        network = dataclasses.replace(layers, **{name: numbers})
        return jnp.sum((decode(network, sensing, codes.y, DEPTH, gradient).value - codes.x) ** 2)

    numbers, nudge = getattr(layers, name), jnp.zeros(DEPTH).at[2].set(1e-6)
    slopes = jax.grad(loss)(numbers, uj.Unroll())
    near = [loss(numbers + k * nudge, uj.Detach()) for k in (-1, 1)]
    np.testing.assert_allclose(slopes[2], (near[1] - near[0]) / 2e-6, rtol=1e-6)
    last = jax.grad(loss)(numbers, uj.Truncated(depth=2))
    np.testing.assert_allclose(last[-2:], slopes[-2:], rtol=1e-10)


def test_codes_are_as_sparse_as_asked_for_and_measured_without_noise(sensing):
    codes = draw_codes(sensing, jax.random.key(0), problems=2000, sparsity=0.1)
    assert abs(float(jnp.mean(codes.x != 0)) - 0.1) < 0.01
    np.testing.assert_allclose(codes.y, codes.x @ sensing.A.T)


def test_fista_is_ahead_of_ista_and_both_of_nothing(sensing, codes):
    slow, fast = (
        float(decibel(lasso(sensing, codes, 30, accelerated), codes.x))
        for accelerated in (False, True)
    )
    assert fast < slow < 0
    assert float(decibel(jnp.zeros_like(codes.x), codes.x)) == 0
