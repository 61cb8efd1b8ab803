import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from unrolljax import Implicit, Status, Stop
from unrolljax.imaging.data_terms.gaussian import Gaussian
from unrolljax.imaging.data_terms.poisson import Poisson
from unrolljax.imaging.operators.fourier import Fourier
from unrolljax.imaging.operators.identity import Identity
from unrolljax.imaging.operators.inpainting import Inpainting
from unrolljax.imaging.solvers import PnPADMM
from unrolljax.imaging.training import (
    Halves,
    Restorer,
    Splitting,
    fit,
    split_gaussian,
    split_mask,
    split_poisson,
)

SHAPE = (4, 6, 1)
DRAWS = 20_000


def moments(first, second):
    """Mean and variance of either half, and their correlation, over draws of a 0-d quantity."""
    correlation = np.mean((first - first.mean()) * (second - second.mean()))
    return (
        (first.mean(), first.var()),
        (second.mean(), second.var()),
        correlation / np.sqrt(first.var() * second.var()),
    )


def halves_of(simulate):
    """One entry of either half's y, for many draws."""
    found = jax.jit(jax.vmap(simulate))(jax.random.split(jax.random.key(0), DRAWS))
    return tuple(np.asarray(half.y)[:, 1, 2, 0] for half in found), found


def test_gaussian_halves_have_independent_noise_of_the_told_strength():
    operator, sigma, share = Identity(SHAPE), 0.3, 0.8

    def simulate(key):
        noise, split = jax.random.split(key)
        y = 2 + sigma * jax.random.normal(noise, SHAPE)
        return split_gaussian(Gaussian(operator, y, sigma), split, share)

    (first, second), found = halves_of(simulate)
    told = [float(half.sigma[0]) for half in found]
    np.testing.assert_allclose(told, [sigma / share**0.5, sigma / (1 - share) ** 0.5])
    of_first, of_second, correlation = moments(first, second)
    np.testing.assert_allclose(of_first, (2, told[0] ** 2), rtol=0.03)
    np.testing.assert_allclose(of_second, (2, told[1] ** 2), rtol=0.03)
    assert abs(correlation) < 4 / np.sqrt(DRAWS)


def test_splitting_complex_noise_splits_both_of_its_parts():
    operator = Fourier(jnp.ones(SHAPE[:2]), SHAPE)
    y = operator(jnp.ones(SHAPE))
    found = split_gaussian(Gaussian(operator, y, 0.1), jax.random.key(0), 0.5)
    np.testing.assert_allclose(found.first.y + found.second.y, 2 * y, atol=1e-12)
    moved = found.first.y - y
    assert jnp.std(moved.real) > 0.05
    assert jnp.std(moved.imag) > 0.05


def test_poisson_halves_are_independent_counts():
    operator, rate, share = Identity(SHAPE), 6.0, 0.3

    def simulate(key):
        counts, split = jax.random.split(key)
        y = jax.random.poisson(counts, rate, SHAPE).astype(float)
        return split_poisson(Poisson(operator, y, 1.0, 5.0), split, share)

    (first, second), found = halves_of(simulate)
    np.testing.assert_allclose([found.first.peak[0], found.second.peak[0]], [1.5, 3.5])
    np.testing.assert_allclose(found.first.background[0] + found.second.background[0], 1)
    of_first, of_second, correlation = moments(first, second)
    np.testing.assert_allclose(of_first, (share * rate,) * 2, rtol=0.05)
    np.testing.assert_allclose(of_second, ((1 - share) * rate,) * 2, rtol=0.05)
    assert abs(correlation) < 4 / np.sqrt(DRAWS)


def test_masks_share_the_measured_entries():
    rng = np.random.default_rng(0)
    mask = jnp.asarray(rng.random(SHAPE[:2]) < 0.7)
    operator = Inpainting(mask, SHAPE)
    data = Gaussian(operator, operator(jnp.asarray(rng.random(SHAPE))), 0.1)
    first, second = split_mask(data, jax.random.key(0), 0.6)
    masks = np.asarray(first.operator.mask), np.asarray(second.operator.mask)
    np.testing.assert_array_equal(masks[0] ^ masks[1], mask)
    assert 0 < masks[0].sum() < np.asarray(mask).sum()
    np.testing.assert_allclose(first.y + second.y, data.y)
    np.testing.assert_array_equal(first.y[~masks[0]], 0)


@pytest.mark.parametrize("shape", [(6, 8, 1), (5, 7, 1)])
def test_a_frequency_goes_with_its_mirror_image(shape):
    operator = Fourier(jnp.ones(shape[:2]), shape)
    data = Gaussian(operator, operator(jnp.ones(shape)), 0.1)
    found = split_mask(data, jax.random.key(1))
    chosen = np.asarray(found.first.operator.mask)
    assert 0 < chosen.sum() < chosen.size
    rows, columns = np.indices(shape[:2])
    np.testing.assert_array_equal(chosen, chosen[-rows % shape[0], -columns % shape[1]])


def test_the_loss_is_the_second_halfs_misfit_of_the_firsts_restoration(network, operator):
    restorer = Restorer.start(PnPADMM(0.005, 0.1), network)
    y = operator(jnp.asarray(np.random.default_rng(0).random(operator.shape)))
    halves = split_gaussian(Gaussian(operator, y, 0.05), jax.random.key(0))
    batch = jax.tree.map(lambda v: v[None], halves)
    loss = Splitting(Implicit(), Stop(300, 1e-9))
    outcome = loss(restorer, None, batch)
    image = restorer(halves.first, stop=loss.stop).value
    np.testing.assert_allclose(outcome.error[0], halves.second.value(image) / y.size, rtol=1e-7)
    assert outcome.status[0] == Status.CONVERGED


def test_the_penalty_adds_the_stretch_at_what_the_denoiser_reads(operator):
    def stretching(x, sigma):
        return 1.2 * x + 0 * sigma

    restorer = Restorer.start(PnPADMM(0.005, 0.1), stretching)
    y = operator(jnp.asarray(np.random.default_rng(0).random(operator.shape)))
    batch = jax.tree.map(
        lambda v: v[None], split_gaussian(Gaussian(operator, y, 0.05), jax.random.key(0))
    )
    plain, penalised = (
        Splitting(Implicit(), Stop(20, 1e-9), penalty)(restorer, None, batch).error[0]
        for penalty in (None, 0.5)
    )
    # The reflection 2 D - I stretches by 1.4; the margin is 0.05.
    np.testing.assert_allclose(penalised - plain, 0.5 * (1.4 - 1 + 0.05), rtol=1e-6)


@pytest.mark.usefixtures("standard_promotion")
def test_training_without_truths_lowers_the_error_with_them(network, simulate, operator):
    def sample(operator, key):
        data = simulate(operator, key).data
        return Halves(*eqx.filter_vmap(split_gaussian)(data, jax.random.split(key, 4)))

    loss = Splitting(Implicit(), Stop(100, 1e-5))
    start = Restorer.start(PnPADMM(0.005, 0.5), network)
    key = jax.random.key(0)
    validation = sample(operator, jax.random.key(8))
    adam = optax.adam(0.05)
    found = fit(loss, start, operator, sample, adam, 20, key, validation, records=2)
    assert found.status == Status.COMPLETED

    @eqx.filter_jit
    def error(restorer):
        batch = simulate(operator, jax.random.key(9))
        images = jax.vmap(lambda data: restorer(data, stop=Stop(100, 1e-5)).value)(batch.data)
        return jnp.mean((images - batch.truth) ** 2)

    assert error(found.parameters) < 0.8 * error(start)


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0, float("nan")])
def test_shares_outside_of_zero_and_one_are_refused(share, operator):
    data = Gaussian(operator, jnp.zeros(operator.shape), 0.1)
    with pytest.raises(ValueError, match=r"split_gaussian\(share="):
        split_gaussian(data, jax.random.key(0), share)


def test_an_operator_without_a_mask_is_refused(operator):
    data = Gaussian(operator, jnp.zeros(operator.shape), 0.1)
    with pytest.raises(ValueError, match="not Blur"):
        split_mask(data, jax.random.key(0))
