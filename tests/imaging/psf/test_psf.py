"""Point spread functions against closed forms and scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from unrolljax.imaging import psf

LINE = np.arange(-10.0, 11.0)
RADIUS = np.hypot(LINE[:, None], LINE[None])
KERNELS = {
    "gaussian": psf.gaussian(21, 1.6),
    "moffat": psf.moffat(21, 4.0, 2.5),
    "airy": psf.airy(21, 4.3),
    "linear": psf.linear_motion(21, 9.0, 0.4),
    "random": psf.random_motion(jax.random.key(0), 21, 3.0),
}


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_are_distributions(name):
    np.testing.assert_allclose(jnp.sum(KERNELS[name]), 1, rtol=1e-12)
    assert jnp.all(KERNELS[name] >= 0)


def test_gaussian_has_its_variance():
    variance = jnp.sum(KERNELS["gaussian"] * LINE[:, None] ** 2)
    np.testing.assert_allclose(variance, 1.6**2, rtol=1e-6)
    expected = np.exp(-(RADIUS**2) / (2 * 1.6**2))
    np.testing.assert_allclose(KERNELS["gaussian"], expected / expected.sum(), rtol=1e-12)


def test_moffat_is_half_at_half_its_width():
    kernel = KERNELS["moffat"]
    np.testing.assert_allclose(kernel[10, 12] / kernel[10, 10], 0.5, rtol=1e-12)
    alpha = 4 / (2 * np.sqrt(2**0.4 - 1))
    np.testing.assert_allclose(kernel / kernel[10, 10], (1 + (RADIUS / alpha) ** 2) ** -2.5)


@pytest.mark.parametrize("radius", [1.0, 4.3])
def test_airy_is_that_of_scipy(radius):
    u = np.where(RADIUS > 0, scipy.special.jn_zeros(1, 1)[0] * RADIUS / radius, 1)
    expected = np.where(RADIUS > 0, (2 * scipy.special.j1(u) / u) ** 2, 1)
    np.testing.assert_allclose(psf.airy(21, radius), expected / expected.sum(), atol=1e-13)


def test_linear_motion_has_the_moments_of_a_line():
    kernel = np.asarray(KERNELS["linear"])
    rows, columns = np.mgrid[-10:11, -10:11]
    np.testing.assert_allclose((kernel * rows).sum(), 0, atol=1e-10)
    # A line's covariance, as the sampling and the sharing between neighbours leave it.
    along = -9 * np.linspace(-0.5, 0.5, 1000)[:, None] * np.sin([0.4])
    assert abs((kernel * rows * columns).sum() - -np.mean(along**2) / np.tan(0.4)) < 1e-8


@pytest.mark.parametrize(
    "build",
    [
        lambda: psf.gaussian(20, 1.0),
        lambda: psf.gaussian(21, 0.0),
        lambda: psf.moffat(21, 3.0, 1.0),
        lambda: psf.airy(21, 0.5),
        lambda: psf.linear_motion(4, 2.0),
    ],
)
def test_bad_numbers_are_refused(build):
    with pytest.raises(ValueError, match="must be"):
        build()
