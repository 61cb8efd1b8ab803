import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads
from scipy.linalg import hadamard

from unrolljax import Implicit, Status, Stop, Unroll
from unrolljax.imaging.denoisers.dncnn import DnCNN
from unrolljax.imaging.denoisers.learned import initialised
from unrolljax.imaging.solvers import PnPADMM
from unrolljax.imaging.training import (
    Noisy,
    RestorationSURE,
    Restorer,
    Unseen,
    denoising_sure,
    fit,
    probes,
    sure,
)

SIGMA = 0.3


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape))


def exact_expectation(function, mean, sigma):
    """Over white noise and probes, of a function quadratic in either: a cubature that is exact."""
    n = mean.size
    offsets = jnp.concatenate([jnp.eye(n), -jnp.eye(n)]) * sigma * np.sqrt(n)
    signs = jnp.asarray(hadamard(n), float)
    over_probes = jax.vmap(function, (None, 0))
    return jnp.mean(jax.vmap(over_probes, (0, None))(mean[None] + offsets, signs))


def test_for_a_linear_denoiser_its_expectation_is_the_mean_squared_error():
    matrix, truth = normal(8, 8) / 4, normal(8, seed=1)
    found = exact_expectation(lambda y, b: sure(lambda y: matrix @ y, y, SIGMA, b), truth, SIGMA)
    bias = np.mean((np.asarray(matrix) @ truth - truth) ** 2)
    expected = bias + SIGMA**2 * np.sum(np.asarray(matrix) ** 2) / 8
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_for_a_network_its_mean_over_noise_is_the_error():
    denoiser = initialised(DnCNN(3, 4, activation=nn.softplus), jax.random.key(0), 1, jnp.float64)
    truth = normal(6, 5, 1)

    @jax.jit
    @jax.vmap
    def both(key):
        noise, probe = jax.random.split(key)
        y = truth + SIGMA * jax.random.normal(noise, truth.shape)
        estimate = sure(lambda y: denoiser(y, SIGMA), y, SIGMA, probes(probe, y.shape, y.dtype))
        return estimate, jnp.mean((denoiser(y, SIGMA) - truth) ** 2)

    estimates, errors = both(jax.random.split(jax.random.key(1), 4000))
    difference = estimates - errors
    spread = jnp.std(difference) / np.sqrt(4000)
    assert abs(jnp.mean(difference)) < 3 * spread
    assert 10 * spread < jnp.mean(errors)


def test_its_gradient_agrees_with_finite_differences():
    denoiser = initialised(DnCNN(3, 2, activation=nn.softplus), jax.random.key(0), 1, jnp.float64)
    y, probe = normal(4, 5, 1), probes(jax.random.key(0), (4, 5, 1), jnp.float64)

    def estimate(denoiser, y):
        return sure(lambda y: denoiser(y, SIGMA), y, SIGMA, probe)

    check_grads(
        jax.jit(estimate), (denoiser, y), order=1, modes=("rev", "fwd"), atol=1e-6, rtol=1e-6
    )


class Shrink(eqx.Module):
    """A multiple of the image."""

    factor: jax.Array

    def __call__(self, x, sigma):
        del sigma
        return self.factor * x


def noisy(source, key):
    draw, noise, probe = jax.random.split(key, 3)
    truth = source * jax.random.normal(draw, (64, 4, 4, 1))
    y = truth + SIGMA * jax.random.normal(noise, truth.shape)
    return Noisy(y, jnp.full(64, SIGMA), probes(probe, y.shape, y.dtype))


def test_training_without_truths_finds_the_wiener_filter():
    scale = jnp.asarray(0.4)
    start = Shrink(jnp.asarray(1.0))
    validation = noisy(scale, jax.random.key(9))
    found = fit(
        denoising_sure, start, scale, noisy, optax.sgd(0.5), 60, jax.random.key(0), validation, 6
    )
    assert found.status == Status.COMPLETED
    wiener = 0.4**2 / (0.4**2 + SIGMA**2)
    np.testing.assert_allclose(found.parameters.factor, wiener, atol=0.03)


@pytest.fixture(scope="module")
def unseen(simulate, operator):
    data = jax.jit(simulate)(operator, jax.random.key(3)).data
    return Unseen(data, probes(jax.random.key(4), data.y.shape, data.y.dtype))


MODES = {
    "unrolled": RestorationSURE(Unroll(), Stop(60, None)),
    "implicit": RestorationSURE(Implicit(tol=1e-10, ad="both"), Stop(500, 1e-11)),
}


@eqx.filter_jit
def mean_error(restorer, loss, unseen):
    return jnp.mean(loss(restorer, None, unseen).error)


@pytest.mark.parametrize("mode", MODES)
def test_the_gradient_of_restorations_agrees_with_finite_differences(mode, network, unseen):
    restorer, loss = Restorer.start(PnPADMM(0.005, 0.1), network), MODES[mode]
    one = jax.tree.map(lambda v: v[:1], unseen)
    slope = eqx.filter_grad(mean_error)(restorer, loss, one)
    step = 1e-4

    def moved(s):
        return eqx.tree_at(lambda r: r.logs.sigma, restorer, restorer.logs.sigma + s * step)

    ahead, behind = (mean_error(moved(s), loss, one) for s in (1, -1))
    np.testing.assert_allclose(slope.logs.sigma, (ahead - behind) / (2 * step), rtol=1e-5)


def test_the_estimate_for_restorations_is_the_error_of_their_predictions(
    network, simulate, operator
):
    restorer, loss = Restorer.start(PnPADMM(0.005, 0.1), network), MODES["unrolled"]

    @jax.jit
    def both(key):
        batch = simulate(operator, key)
        probe = probes(key, batch.data.y.shape, batch.data.y.dtype)
        estimates = loss(restorer, None, Unseen(batch.data, probe)).error

        def error(data, truth):
            image = restorer(data, gradient=loss.gradient, stop=loss.stop).value
            return jnp.mean((operator(image) - operator(truth)) ** 2)

        return estimates, jax.vmap(error)(*batch)

    found = [both(key) for key in jax.random.split(jax.random.key(0), 100)]
    estimates, errors = (jnp.concatenate(v) for v in zip(*found, strict=True))
    spread = jnp.std(estimates - errors) / np.sqrt(400)
    assert abs(jnp.mean(estimates - errors)) < 3 * spread
    assert 5 * spread < jnp.mean(errors)
