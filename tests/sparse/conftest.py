"""A small sensing matrix and codes, shared by the tests of sparse recovery."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unrolljax.sparse.sensing import Sensing
from unrolljax.sparse.training import Codes, Ensemble


@pytest.fixture(scope="session")
def sensing() -> Sensing:
    A = np.random.default_rng(0).standard_normal((40, 80))
    return Sensing.of(A / np.linalg.norm(A, axis=0))


@pytest.fixture(scope="session")
def codes(sensing) -> Codes:
    return Ensemble(0.06).draw(sensing, jax.random.key(1), 24)


@pytest.fixture
def standard_promotion():
    """Optax's Adam counts steps in int32 and multiplies them with floats."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture(scope="session")
def vector() -> jax.Array:
    return jnp.asarray(np.random.default_rng(1).standard_normal(80))
