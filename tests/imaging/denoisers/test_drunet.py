import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from unrolljax.imaging.denoisers.drunet import DRUNet
from unrolljax.imaging.denoisers.learned import initialised

NETWORK = DRUNet(widths=(3, 4, 5))


def image(*shape):
    return jnp.asarray(np.random.default_rng(0).random(shape))


@pytest.fixture
def denoiser():
    return initialised(NETWORK, jax.random.key(0), dtype=jnp.float64)


def test_scaling_image_and_noise_scales_the_output(denoiser):
    x = image(8, 10, 1)
    np.testing.assert_allclose(denoiser(3 * x, 0.3), 3 * denoiser(x, 0.1), rtol=1e-12)


@pytest.mark.parametrize("size", [(7, 9), (8, 16), (1, 1), (13, 4)])
def test_it_takes_images_of_any_size(denoiser, size):
    assert denoiser(image(*size, 1), 0.1).shape == (*size, 1)


def test_it_commutes_with_shifts_by_its_coarsest_pixel_away_from_borders(denoiser):
    x = image(160, 160, 1)
    shifted = denoiser(jnp.roll(x, (8, -8), (0, 1)), 0.1)
    expected = jnp.roll(denoiser(x, 0.1), (8, -8), (0, 1))
    np.testing.assert_allclose(shifted[76:84, 76:84], expected[76:84, 76:84], rtol=1e-10)


def test_it_sees_farther_than_its_convolutions_at_one_resolution(denoiser):
    seen = jax.grad(lambda x: denoiser(x, 0.1)[48, 48, 0])(image(96, 96, 1))
    rows = jnp.flatnonzero(jnp.any(seen != 0, (1, 2)))
    assert 48 - rows[0] >= 30
    assert rows[-1] - 48 >= 30


def test_more_blocks_are_more_parameters():
    counts = [
        len(jax.tree.leaves(initialised(DRUNet((3, 4), blocks), jax.random.key(0))))
        for blocks in (1, 2)
    ]
    assert counts == [4 + 2 * 3, 4 + 2 * 6]


def test_derivatives_agree_with_finite_differences(denoiser):
    x = image(8, 8, 1)
    check_grads(
        lambda denoiser, x, sigma: denoiser(x, sigma), (denoiser, x, jnp.asarray(0.1)), order=1,
        modes=("fwd", "rev"), atol=1e-6, rtol=1e-6, eps=1e-6,
    )  # fmt: skip
