"""The network with thresholds by bands: against ISTA, its own scalars, differences and modes."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unrolljax as uj
from unrolljax.sparse.networks import decode
from unrolljax.sparse.networks.banded import BandLISTA
from unrolljax.sparse.sensing import Sensing
from unrolljax.sparse.training import total_nmse
from unrolljax.sparse.wiener import wiener_weight

BANDS = np.arange(80) % 3


@pytest.fixture(scope="module")
def expecting(sensing):
    """The sensing operator that correlates by the Wiener weight of white codes."""
    W = wiener_weight(np.asarray(sensing.A), np.eye(80), 0.1)
    return Sensing(sensing.A, jnp.asarray(W))


@pytest.mark.parametrize("matrices", [False, True])
def test_one_layer_is_a_step_of_thresholds_by_bands(sensing, codes, matrices):
    thresholds = np.array([0.2, 0.7, 1.5])
    network = BandLISTA.start(sensing, 1, BANDS, matrices=matrices)
    logs = jnp.log(jnp.asarray(thresholds))[None]
    network = eqx.tree_at(lambda n: n.layers.log_threshold, network, logs)
    found = decode(network, sensing, codes.y[:1]).value[0]
    A, W, y = (np.asarray(v) for v in (sensing.A, sensing.W, codes.y[0]))
    move = W.T @ y / np.max(np.abs(np.linalg.eigvals(A @ W.T)))
    level = thresholds[BANDS] * np.mean(np.abs(move))
    expected = np.sign(move) * np.maximum(np.abs(move) - level, 0)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_momentum_carries_the_last_move_on(sensing, codes):
    network = BandLISTA.start(sensing, 2, BANDS, threshold=1e-300, momentum=0.4)
    found = np.asarray(decode(network, sensing, codes.y[:1]).value[0])
    W, A, y = (np.asarray(v) for v in (sensing.W, sensing.A, codes.y[0]))
    W = W / np.max(np.abs(np.linalg.eigvals(A @ W.T)))
    first = W.T @ y
    expected = first + 0.4 * first - W.T @ (A @ first - y)
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_it_is_as_bright_as_what_it_sees(expecting, codes):
    network = BandLISTA.start(expecting, 5, BANDS)
    faint, bright = (decode(network, expecting, k * codes.y).value for k in (1e-3, 10.0))
    np.testing.assert_allclose(1e4 * faint, bright, rtol=1e-9, atol=1e-12)


def test_matrices_start_where_the_scalars_are(expecting, codes):
    scalars, matrices = (BandLISTA.start(expecting, 4, BANDS, matrices=m) for m in (False, True))
    ours = decode(matrices, expecting, codes.y).value
    np.testing.assert_allclose(ours, decode(scalars, expecting, codes.y).value, atol=1e-12)
    other = eqx.tree_at(lambda s: s.W, expecting, expecting.A)
    np.testing.assert_allclose(decode(matrices, other, codes.y).value, ours, atol=1e-12)


def test_its_gradient_is_that_of_differences_and_of_truncation(expecting, codes):
    network = BandLISTA.start(expecting, 4, BANDS, matrices=True)

    @eqx.filter_jit
    def loss(layers, gradient):
        whole = eqx.tree_at(lambda n: n.layers, network, layers)
        return total_nmse(decode(whole, expecting, codes.y, gradient).value, codes.x)

    slope = eqx.filter_jit(jax.grad(loss))
    exact = slope(network.layers, uj.Unroll())
    last = slope(network.layers, uj.Truncated(3))
    for ours, theirs in zip(jax.tree.leaves(exact), jax.tree.leaves(last), strict=True):
        np.testing.assert_allclose(theirs[1:], ours[1:], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(theirs[0], 0)
    keys = iter(jax.random.split(jax.random.key(0), 4))
    way = jax.tree.map(lambda v: jax.random.normal(next(keys), v.shape), network.layers)

    def beside(nudge):
        return loss(jax.tree.map(lambda v, w: v + nudge * w, network.layers, way), uj.Unroll())

    along = sum(jnp.vdot(g, w) for g, w in zip(*map(jax.tree.leaves, (exact, way)), strict=True))
    np.testing.assert_allclose(along, (beside(1e-7) - beside(-1e-7)) / 2e-7, rtol=1e-4)


def test_other_numbers_compile_nothing(expecting, codes):
    traced = []

    @eqx.filter_jit
    def run(network):
        traced.append(network)
        return decode(network, expecting, codes.y).value

    for threshold in (0.05, 0.1):
        run(BandLISTA.start(expecting, 3, BANDS, threshold))
    assert len(traced) == 1


@pytest.mark.parametrize("bands", [BANDS[:-1], BANDS * 1.0, BANDS - 1])
def test_bands_that_do_not_number_the_entries_are_refused(sensing, bands):
    with pytest.raises(ValueError, match="bands"):
        BandLISTA.start(sensing, 2, bands)
