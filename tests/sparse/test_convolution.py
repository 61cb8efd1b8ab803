"""Convolutional sensing against its dense matrix, scipy's convolutions, and networks on it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import signal

from unrolljax.sparse.analytic import analytic_weight
from unrolljax.sparse.convolution import ConvolutionalSensing
from unrolljax.sparse.networks import ALISTA, HybridLISTA, decode
from unrolljax.sparse.training import Ensemble, total_nmse

rng = np.random.default_rng(0)


def unit_filters(*shape):
    filters = rng.standard_normal(shape)
    return filters / np.sqrt(np.sum(filters**2, axis=tuple(range(1, len(shape))), keepdims=True))


LINE = ConvolutionalSensing.of(unit_filters(3, 5), (14,))
ODD = ConvolutionalSensing.of(unit_filters(2, 4), (9,))
IMAGE = ConvolutionalSensing.of(unit_filters(2, 3, 2), (5, 6))
ALL = pytest.mark.parametrize("sensing", [LINE, ODD, IMAGE], ids=["line", "odd", "image"])


def dense(sensing):
    return np.asarray(jax.jit(jax.vmap(sensing.measure, out_axes=1))(jnp.eye(sensing.unknowns)))


@ALL
def test_its_weight_is_the_dense_matrix_s(sensing):
    A = dense(sensing)
    rows = jnp.eye(len(A))
    np.testing.assert_allclose(np.linalg.norm(A, axis=0), 1)
    W = np.asarray(jax.vmap(sensing.correlate)(rows))
    np.testing.assert_allclose(W, analytic_weight(A), atol=1e-10)
    np.testing.assert_allclose(jax.vmap(sensing.transpose)(rows), A, atol=1e-12)
    blended = jax.vmap(lambda r: sensing.correlate(r, jnp.asarray(0.3)))(rows)
    np.testing.assert_allclose(blended, 0.7 * W + 0.3 * A, atol=1e-12)
    np.testing.assert_allclose(sensing.norm(), np.linalg.norm(A, 2))


def test_it_convolves_as_scipy_does():
    filters = unit_filters(2, 3, 3)
    sensing = ConvolutionalSensing.of(filters, (8, 7))
    x = rng.standard_normal((2, 8, 7))
    ours = np.asarray(sensing.measure(jnp.asarray(x.ravel()))).reshape(8, 7)
    theirs = sum(
        np.roll(signal.convolve2d(code, f, mode="same", boundary="wrap"), (1, 1), (0, 1))
        for code, f in zip(x, filters, strict=True)
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


@ALL
def test_products_are_each_other_s_transposes(sensing):
    x = jnp.asarray(rng.standard_normal(sensing.unknowns))
    r = jnp.asarray(rng.standard_normal(np.prod(sensing.shape)))
    np.testing.assert_allclose(sensing.measure(x) @ r, x @ sensing.transpose(r))
    pulled = jax.linear_transpose(sensing.measure, x)(r)[0]
    np.testing.assert_allclose(pulled, sensing.transpose(r), atol=1e-12)


def test_networks_run_and_learn_on_it():
    sensing = ConvolutionalSensing.of(unit_filters(2, 50), (100,))
    codes = Ensemble(0.02).draw(sensing, jax.random.key(0), 20)

    def error(network):
        return total_nmse(decode(network, sensing, codes.y).value, codes.x)

    assert error(ALISTA.start(16, 1.0, 0.05, dtype=jnp.float64)) < -15
    assert error(HybridLISTA.start(16, dtype=jnp.float64)) < -60
    network = ALISTA.start(3, 0.5, 0.03, dtype=jnp.float64)

    def loss(logs):
        return error(eqx.tree_at(lambda n: n.layers.log_threshold, network, logs))

    logs, nudge = network.layers.log_threshold, jnp.array([0, 1e-6, 0])
    differences = (loss(logs + nudge) - loss(logs - nudge)) / 2e-6
    np.testing.assert_allclose(jax.grad(loss)(logs)[1], differences, rtol=1e-5)


def test_it_computes_in_the_precision_of_its_filters():
    sensing = ConvolutionalSensing.of(jnp.asarray(unit_filters(2, 3), jnp.float32), (8,))
    x = jnp.ones(16, jnp.float32)
    y = sensing.measure(x)
    blend = jnp.asarray(0.1, jnp.float32)
    kinds = {v.dtype for v in (y, sensing.transpose(y), sensing.correlate(y, blend))}
    assert kinds == {jnp.dtype("float32")}


@pytest.mark.parametrize(
    ("filters", "shape", "message"),
    [
        (2 * unit_filters(2, 3), (8,), "norm 1"),
        (np.full((1, 3), np.nan), (8,), "norm 1"),
        (unit_filters(2, 9), (8,), "shape"),
        (unit_filters(2, 3, 3), (8,), "shape"),
        (np.array([[1.0, -1.0]]) / np.sqrt(2), (8,), "frequency"),
    ],
)
def test_filters_that_cannot_serve_are_refused(filters, shape, message):
    with pytest.raises(ValueError, match=message):
        ConvolutionalSensing.of(filters, shape)
