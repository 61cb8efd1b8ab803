"""The truncation rule and the measured rate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unrolljax as uj


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9, 0.99, 0.5 * 0.95])
@pytest.mark.parametrize("tol", [0.1, 1e-2, 1e-6])
def test_depth_is_the_smallest_that_forgets(rate, tol):
    depth = uj.truncation_depth(rate, tol)
    assert rate**depth <= tol * (1 + 1e-9)
    assert depth == 1 or rate ** (depth - 1) > tol
    assert int(uj.truncation_depth(jnp.asarray(rate), jnp.asarray(tol))) == depth


def test_published_depths():
    """Contraction measured for tanh networks of spectral radius .7, .9, .97, 1 (T = 200)."""
    depths = [uj.truncation_depth(rate, 1e-2) for rate in (0.603, 0.746, 0.789, 0.810)]
    assert depths == [10, 16, 20, 22]


def test_rates_that_never_forget_raise_or_saturate():
    with pytest.raises(ValueError, match="Implicit"):
        uj.truncation_depth(1.0, 0.1)
    with pytest.raises(ValueError, match="tol"):
        uj.truncation_depth(0.5, 1.5)
    assert int(uj.truncation_depth(jnp.asarray(1.2), 0.1)) == jnp.iinfo(jnp.int32).max


def test_the_rate_of_a_normal_map_is_its_spectral_radius():
    q = np.linalg.qr(np.random.default_rng(0).normal(size=(9, 9)))[0]
    matrix = jnp.asarray(q @ np.diag(np.r_[0.93, np.linspace(0.1, 0.5, 8)]) @ q.T)
    rate = jax.jit(lambda x: uj.estimate_rate(lambda v: matrix @ v, x))(jnp.zeros(9))
    np.testing.assert_allclose(rate, 0.93, rtol=1e-3)


def test_the_rate_of_a_non_normal_map_is_not_below_its_spectral_radius():
    matrix = jnp.asarray(0.5 * np.eye(6) + 2 * np.diag(np.ones(5), 1))
    assert float(uj.estimate_rate(lambda v: matrix @ v, jnp.zeros(6), steps=40)) >= 0.5


def test_the_rate_of_a_nonlinear_pytree_map():
    def function(x):
        return {"a": 0.5 * jnp.sin(x["a"]), "b": 0.2 * x["b"]}

    x = {"a": jnp.zeros(3), "b": jnp.ones((2, 2))}
    np.testing.assert_allclose(uj.estimate_rate(function, x), 0.5, rtol=1e-6)
