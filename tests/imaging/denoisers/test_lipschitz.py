import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from unrolljax.imaging.denoisers.dncnn import DnCNN
from unrolljax.imaging.denoisers.jacobian_penalty import between, jacobian_penalty
from unrolljax.imaging.denoisers.learned import initialised
from unrolljax.imaging.denoisers.lipschitz import lipschitz_constant

PARTS = pytest.mark.parametrize("of", ["denoiser", "residual", "reflection"])


class Linear(eqx.Module):
    matrix: jax.Array

    def __call__(self, x, sigma):
        return (self.matrix @ x.ravel()).reshape(x.shape) * (1 + sigma)


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape))


measured = eqx.filter_jit(lipschitz_constant)


def jacobian(denoiser, x, sigma, of):
    found = jax.jit(jax.jacfwd(lambda x: denoiser(x, sigma)))(x).reshape(x.size, x.size)
    eye = jnp.eye(x.size)
    return {"denoiser": found, "residual": eye - found, "reflection": 2 * found - eye}[of]


@pytest.fixture(scope="module")
def network():
    return initialised(DnCNN(3, 3, activation=nn.softplus), jax.random.key(0), dtype=jnp.float64)


@PARTS
def test_for_a_linear_denoiser_it_is_the_largest_singular_value(of):
    denoiser, x = Linear(normal(12, 12) / 4), normal(4, 3, 1, seed=1)
    found = measured(denoiser, x, 0.5, of=of)
    expected = np.linalg.norm(jacobian(denoiser, x, 0.5, of), 2)
    assert found.converged
    np.testing.assert_allclose(found.norm, expected, rtol=1e-6)


@PARTS
def test_for_a_network_it_is_that_of_the_dense_jacobian(network, of):
    x = normal(5, 4, 1)
    expected = np.linalg.norm(jacobian(network, x, 0.1, of), 2)
    np.testing.assert_allclose(measured(network, x, 0.1, of=of).norm, expected, rtol=1e-5)


def test_no_difference_of_nearby_images_is_stretched_by_more(network):
    x = normal(6, 5, 1)
    bound = float(measured(network, x, 0.1).norm)
    differences = 1e-4 * normal(50, 6, 5, 1, seed=2)
    moved = jax.jit(jax.vmap(lambda d: network(x + d, 0.1) - network(x, 0.1)))(differences)
    ratios = jnp.linalg.norm(moved.reshape(50, -1), axis=1)
    ratios = ratios / jnp.linalg.norm(differences.reshape(50, -1), axis=1)
    assert jnp.max(ratios) <= bound * (1 + 1e-4)
    assert jnp.max(ratios) > 0.5 * bound


def test_a_batch_is_one_by_one_and_an_early_end_is_told(network):
    x = normal(3, 5, 4, 1)
    batch = jax.jit(jax.vmap(lambda x: lipschitz_constant(network, x, 0.1)))(x)
    single = [measured(network, one, 0.1) for one in x]
    np.testing.assert_allclose(batch.norm, jnp.stack([s.norm for s in single]), rtol=1e-5)
    early = measured(network, x[0], 0.1, max_steps=1)
    assert not early.converged
    assert early.norm < single[0].norm


@PARTS
def test_derivatives_agree_with_finite_differences(network, of):
    x = normal(4, 3, 1)

    @jax.jit
    def norm(network, sigma):
        return lipschitz_constant(network, x, sigma, of=of, tol=1e-9, max_steps=300).norm

    check_grads(norm, (network, jnp.asarray(0.1)), order=1, modes=("rev",), atol=1e-5, rtol=1e-5)


def test_the_penalty_is_the_excess_over_one_with_its_margin():
    x = normal(4, 3, 1)
    for factor in (0.1, 0.9, 1.2):
        # A multiple of the identity: its reflection stretches all alike by |2 factor - 1|.
        denoiser = Linear(factor * jnp.eye(12))
        expected = max(abs(2 * factor - 1) - 1 + 0.25, 0)
        np.testing.assert_allclose(
            jacobian_penalty(denoiser, x, 0.0, margin=0.25), expected, atol=1e-12
        )


def test_the_penalty_has_the_derivative_of_finite_differences(network):
    x = normal(4, 3, 1)

    @jax.jit
    def penalty(network):
        return jacobian_penalty(network, x, 0.1, of="denoiser", steps=100)

    assert penalty(network) > 0
    check_grads(penalty, (network,), order=1, modes=("rev",), atol=1e-5, rtol=1e-5)


def test_descent_on_the_penalty_makes_a_network_averaged(network):
    images = normal(2, 5, 4, 1)

    @jax.jit
    @jax.value_and_grad
    def penalty(network):
        return jnp.mean(jax.vmap(lambda x: jacobian_penalty(network, x, 0.1))(images))

    first, _ = penalty(network)
    for _ in range(60):
        value, slope = penalty(network)
        network = jax.tree.map(lambda v, s: v - 0.02 * s, network, slope)
    assert first > 0.2
    assert value < 0.1 * first


def test_points_between_images_lie_on_the_segment():
    a, b = normal(4, 3, 1), normal(4, 3, 1, seed=1)
    found = between(a, b, jax.random.key(0))
    shares = (found - b) / (a - b)
    np.testing.assert_allclose(shares, shares[0, 0, 0], rtol=1e-9)
    assert 0 <= shares[0, 0, 0] <= 1


def test_an_unknown_part_is_refused(network):
    with pytest.raises(ValueError, match="of='jacobian' is unknown"):
        lipschitz_constant(network, normal(4, 3, 1), 0.1, of="jacobian")
