import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from unrolljax.imaging.denoisers.ffdnet import FFDNet
from unrolljax.imaging.denoisers.learned import initialised

NETWORK = FFDNet(depth=3, width=4)


def image(*shape):
    return jnp.asarray(np.random.default_rng(0).random(shape))


@pytest.fixture
def denoiser():
    return initialised(NETWORK, jax.random.key(0), dtype=jnp.float64)


def test_the_shipped_size_has_the_published_number_of_parameters():
    denoiser = initialised(FFDNet(), jax.random.key(0))
    count = sum(v.size for v in jax.tree.leaves(denoiser))
    assert count == 9 * (5 * 32 + 5 * 32 * 32 + 32 * 4)


def test_scaling_image_and_noise_scales_the_output(denoiser):
    x = image(8, 10, 1)
    np.testing.assert_allclose(denoiser(3 * x, 0.3), 3 * denoiser(x, 0.1), rtol=1e-12)


def test_it_commutes_with_shifts_by_two_pixels_away_from_borders(denoiser):
    x = image(32, 32, 1)
    shifted = denoiser(jnp.roll(x, (2, -4), (0, 1)), 0.1)
    expected = jnp.roll(denoiser(x, 0.1), (2, -4), (0, 1))
    np.testing.assert_allclose(shifted[10:-10, 10:-10], expected[10:-10, 10:-10], rtol=1e-12)


def test_odd_sizes_and_colours():
    colour = initialised(FFDNet(2, 3, channels=3), jax.random.key(0), 3, jnp.float64)
    assert colour(image(7, 9, 3), 0.1).shape == (7, 9, 3)


def test_derivatives_agree_with_finite_differences(denoiser):
    x = image(6, 6, 1)
    check_grads(
        lambda denoiser, x, sigma: denoiser(x, sigma), (denoiser, x, jnp.asarray(0.1)), order=1,
        modes=("fwd", "rev"), atol=1e-6, rtol=1e-6, eps=1e-6,
    )  # fmt: skip
