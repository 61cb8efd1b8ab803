import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from unrolljax.imaging.convolution import convolve
from unrolljax.imaging.denoisers.averaged import Averaged, contractive
from unrolljax.imaging.denoisers.learned import Learned, initialised
from unrolljax.imaging.denoisers.lipschitz import lipschitz_constant

NETWORK = Averaged(depth=3, width=6)


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape))


def with_random_kernels(seed, scale=1.0):
    start = initialised(NETWORK, jax.random.key(0), dtype=jnp.float64).parameters
    rng = np.random.default_rng(seed)
    return Learned(
        NETWORK, jax.tree.map(lambda v: scale * jnp.asarray(rng.standard_normal(v.shape)), start)
    )


def norm_by_fourier(kernel, size):
    """The exact norm of a periodic convolution: the largest singular value at any frequency."""
    spectra = np.fft.fft2(np.asarray(kernel), (size, size), axes=(0, 1))
    return np.linalg.norm(spectra, 2, axis=(2, 3)).max()


def dense(kernel, size, border):
    inputs = kernel.shape[2]
    basis = jnp.eye(size * size * inputs).reshape(-1, size, size, inputs)
    return convolve(basis, kernel, border).reshape(len(basis), -1)


scaled = jax.jit(contractive)


@pytest.mark.parametrize(("inputs", "outputs"), [(3, 5), (5, 3), (4, 4), (1, 1)])
@pytest.mark.parametrize("taps", [(3, 3), (5, 1), (1, 1)])
def test_scaled_kernels_never_lengthen_an_image(inputs, outputs, taps):
    for seed in range(5):
        kernel = scaled(normal(*taps, inputs, outputs, seed=seed))
        assert 0.05 < norm_by_fourier(kernel, 32) <= 1
        for border in ("zero", "periodic"):
            assert np.linalg.norm(dense(kernel, 6, border), 2) <= 1


def test_positive_kernels_of_one_channel_reach_a_norm_of_one():
    kernel = contractive(jnp.abs(normal(3, 3, 1, 1)))
    assert norm_by_fourier(kernel, 32) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(("inputs", "outputs"), [(3, 5), (5, 3)])
def test_orthogonal_kernels_stay_as_they_are(inputs, outputs):
    matrix = np.linalg.qr(np.asarray(normal(max(inputs, outputs), max(inputs, outputs))))[0]
    kernel = jnp.zeros((3, 3, inputs, outputs)).at[1, 1].set(matrix[:inputs, :outputs])
    np.testing.assert_allclose(contractive(kernel), kernel, rtol=1e-12)


def test_a_channel_without_weights_stays_without_and_has_finite_derivatives():
    kernel = normal(3, 3, 3, 4).at[:, :, 1].set(0)
    assert not jnp.any(contractive(kernel)[:, :, 1])
    slope = jax.jit(jax.grad(lambda kernel: jnp.sum(jnp.sin(contractive(kernel)))))(kernel)
    assert jnp.all(jnp.isfinite(slope))


@pytest.mark.parametrize("size", [(8, 8), (7, 9)])
def test_it_is_firmly_nonexpansive_on_random_pairs(size):
    both = jax.jit(jax.vmap(lambda denoiser, x: denoiser(x, 0.3), (None, 0)))
    for seed in range(10):
        denoiser = with_random_kernels(seed, 10.0)
        a, b = normal(*size, 1, seed=seed), normal(*size, 1, seed=seed + 100)
        moved = jnp.subtract(*both(denoiser, jnp.stack([a, b])))
        assert jnp.vdot(moved, moved) <= jnp.vdot(moved, a - b)


@pytest.mark.parametrize("size", [(8, 8), (7, 9)])
def test_power_iteration_finds_no_reflection_that_stretches(size):
    found = jax.jit(jax.vmap(lambda x: lipschitz_constant(start, x, 0.1, of="reflection")))
    start = initialised(NETWORK, jax.random.key(0), dtype=jnp.float64)
    stretch = found(normal(4, *size, 1))
    assert jnp.all(stretch.norm <= 1 + 1e-12)
    # Orthogonal at first: the bound is nearly reached, and the test could fail.
    assert jnp.max(stretch.norm) > 0.8


def test_single_precision_is_nonexpansive_to_its_rounding():
    kernel = contractive(normal(3, 3, 32, 32).astype(jnp.float32))
    assert norm_by_fourier(kernel, 16) <= 1


def test_scaling_image_and_noise_scales_the_output():
    x = normal(7, 6, 1)
    denoiser = with_random_kernels(0)
    np.testing.assert_allclose(denoiser(3 * x, 0.3), 3 * denoiser(x, 0.1), rtol=1e-12)


def test_derivatives_agree_with_finite_differences():
    check_grads(
        jax.jit(lambda denoiser, x, sigma: denoiser(x, sigma)),
        (with_random_kernels(0), normal(4, 6, 1), jnp.asarray(0.1)), order=1,
        modes=("fwd", "rev"), atol=1e-6, rtol=1e-6, eps=1e-6,
    )  # fmt: skip


def test_an_odd_width_is_refused():
    with pytest.raises(ValueError, match=r"width=3"):
        initialised(Averaged(width=3), jax.random.key(0))
