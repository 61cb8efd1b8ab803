"""A small blurred image, and a network that is averaged by construction."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from unrolljax.imaging.data_terms.gaussian import Gaussian
from unrolljax.imaging.operators.blur import Blur
from unrolljax.imaging.restoration import Restoration
from unrolljax.imaging.solvers import (
    HalfQuadratic,
    PnPADMM,
    PnPFISTA,
    PnPPrimalDual,
    PnPProximalGradient,
    REDFixedPoint,
    REDGradient,
)

SHAPE = (12, 10, 1)
NOISE = 0.05


class TwoLayers(eqx.Module):
    """`x - strength W* tanh(W x)`, W circular filters of norm one: averaged for strength <= 1.

    The noise level widens the tanh, as it would in a trained network.
    """

    filters: jnp.ndarray
    strength: jnp.ndarray

    def __call__(self, x, sigma):
        spectra = jnp.fft.rfft2(self.filters, x.shape[:2], axes=(1, 2))[..., None]
        total = jnp.sum(spectra.real**2 + spectra.imag**2, axis=0)
        spectra = spectra / jnp.sqrt(jnp.max(total)).astype(spectra.dtype)
        image = jnp.fft.rfft2(x, axes=(0, 1))[None]
        codes = jnp.fft.irfft2(spectra * image, x.shape[:2], axes=(1, 2))
        shrunk = sigma * jnp.tanh(codes / sigma)
        back = jnp.conj(spectra) * jnp.fft.rfft2(shrunk, axes=(1, 2))
        smooth = jnp.sum(jnp.fft.irfft2(back, x.shape[:2], axes=(1, 2)), axis=0)
        return x - self.strength * smooth


@pytest.fixture(scope="session")
def kernel():
    rows, columns = np.mgrid[-1:2, -1:2]
    values = np.exp(-(rows**2 + columns**2) / 0.6)
    return jnp.asarray(values / values.sum())


@pytest.fixture(scope="session")
def data(kernel):
    rng = np.random.default_rng(0)
    truth = np.kron(rng.uniform(size=(4, 5)), np.ones((3, 2)))[..., None]
    operator = Blur(kernel, SHAPE)
    y = operator(jnp.asarray(truth)) + NOISE * jnp.asarray(rng.standard_normal(SHAPE))
    return Gaussian(operator, y, NOISE)


@pytest.fixture(scope="session")
def network():
    filters = np.random.default_rng(1).standard_normal((4, 3, 3))
    filters -= 0.5 * filters.mean(axis=(1, 2), keepdims=True)
    return TwoLayers(jnp.asarray(filters), jnp.asarray(0.8))


@pytest.fixture(scope="session")
def problem(data, network):
    return Restoration(data, network, jnp.asarray(200.0))


@pytest.fixture(scope="session")
def solvers(data):
    """One tied solver of each kind, with numbers that converge here."""
    step = 1 / data.lipschitz()
    sigma = jnp.asarray(0.1)
    noise = jnp.asarray(NOISE)
    return {
        "proximal gradient": PnPProximalGradient(step, sigma),
        "ADMM": PnPADMM(2 * noise**2, sigma),
        "half-quadratic": HalfQuadratic(4 * noise**2, sigma),
        "accelerated": PnPFISTA(step, sigma),
        "primal-dual": PnPPrimalDual(noise**2, 0.95 / noise**2, sigma),
        "RED gradient": REDGradient(1.8 / (1 / step + 200), sigma),
        "RED fixed point": REDFixedPoint(sigma),
    }
