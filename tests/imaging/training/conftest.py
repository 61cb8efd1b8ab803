"""A small network that is averaged by construction, and blurred images to train it on."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unrolljax.imaging.data_terms.gaussian import Gaussian
from unrolljax.imaging.operators.blur import Blur
from unrolljax.imaging.training import Measured

SHAPE = (8, 8, 1)
NOISE = 0.05


class TwoLayers(eqx.Module):
    """`x - strength W* tanh(W x)`, W circular filters of norm one: averaged for strength <= 1."""

    filters: jax.Array
    strength: jax.Array

    def __call__(self, x, sigma):
        spectra = jnp.fft.rfft2(self.filters, x.shape[:2], axes=(1, 2))[..., None]
        total = jnp.sum(spectra.real**2 + spectra.imag**2, axis=0)
        spectra = spectra / jnp.sqrt(jnp.max(total)).astype(spectra.dtype)
        codes = jnp.fft.irfft2(
            spectra * jnp.fft.rfft2(x, axes=(0, 1))[None], x.shape[:2], axes=(1, 2)
        )
        back = jnp.conj(spectra) * jnp.fft.rfft2(sigma * jnp.tanh(codes / sigma), axes=(1, 2))
        return x - self.strength * jnp.sum(jnp.fft.irfft2(back, x.shape[:2], axes=(1, 2)), 0)


@pytest.fixture(scope="session")
def network():
    filters = np.random.default_rng(1).standard_normal((3, 3, 3))
    filters -= 0.5 * filters.mean(axis=(1, 2), keepdims=True)
    return TwoLayers(jnp.asarray(filters), jnp.asarray(0.6))


@pytest.fixture(scope="session")
def operator():
    rows, columns = np.mgrid[-1:2, -1:2]
    values = np.exp(-(rows**2 + columns**2) / 0.6)
    return Blur(jnp.asarray(values / values.sum()), SHAPE)


@pytest.fixture(scope="session")
def simulate(operator):
    """`(operator, key) -> Measured`: a batch of four images of four squares each."""

    def one(operator, key):
        draw, noise = jax.random.split(key)
        truth = jnp.kron(jax.random.uniform(draw, (2, 2)), jnp.ones((4, 4)))[..., None]
        y = operator(truth) + NOISE * jax.random.normal(noise, truth.shape)
        return Gaussian(operator, y, NOISE), truth

    def sample(operator, key):
        return Measured(
            *eqx.filter_vmap(one, in_axes=(None, 0))(operator, jax.random.split(key, 4))
        )

    return sample


@pytest.fixture
def standard_promotion():
    """Adam counts its steps in int32, which strict promotion refuses."""
    with jax.numpy_dtype_promotion("standard"):
        yield
