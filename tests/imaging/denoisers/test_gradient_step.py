import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from unrolljax.imaging.denoisers.dncnn import DnCNN
from unrolljax.imaging.denoisers.ffdnet import FFDNet
from unrolljax.imaging.denoisers.gradient_step import GradientStep
from unrolljax.imaging.denoisers.learned import initialised

NETWORK = DnCNN(depth=3, width=3, activation=nn.softplus)


def image(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).random(shape))


@pytest.fixture
def denoiser():
    return GradientStep(initialised(NETWORK, jax.random.key(0), dtype=jnp.float64))


class Linear(eqx.Module):
    matrix: jax.Array

    def __call__(self, x, sigma):
        return (self.matrix @ x.ravel()).reshape(x.shape) * (1 - sigma)


def test_for_a_linear_network_it_is_the_closed_form():
    matrix = image(12, 12) / 12
    x, sigma = image(4, 3, 1, seed=1), 0.2
    residual = np.eye(12) - 0.8 * np.asarray(matrix)
    found = GradientStep(Linear(matrix))
    np.testing.assert_allclose(
        found(x, sigma).ravel(), x.ravel() - residual.T @ residual @ x.ravel(), rtol=1e-12
    )
    expected = np.sum((residual @ x.ravel()) ** 2) / 2
    np.testing.assert_allclose(found.potential(x, sigma), expected, rtol=1e-12)


def test_its_residual_is_the_gradient_of_its_potential_by_finite_differences(denoiser):
    x, direction = image(5, 4, 1), image(5, 4, 1, seed=1) - 0.5
    step = 1e-5
    ahead, behind = (denoiser.potential(x + s * step * direction, 0.1) for s in (1, -1))
    slope = jnp.vdot(x - denoiser(x, 0.1), direction)
    np.testing.assert_allclose((ahead - behind) / (2 * step), slope, rtol=1e-8)


def test_its_jacobian_is_symmetric(denoiser):
    x = image(4, 3, 1)
    jacobian = jax.jit(jax.jacfwd(lambda x: denoiser(x, 0.1)))(x).reshape(12, 12)
    np.testing.assert_allclose(jacobian, jacobian.T, atol=1e-14)
    np.testing.assert_allclose(
        jacobian, jax.jit(jax.jacrev(lambda x: denoiser(x, 0.1)))(x).reshape(12, 12), atol=1e-14
    )


def test_derivatives_agree_with_finite_differences_in_both_modes(denoiser):
    check_grads(
        jax.jit(lambda denoiser, x: denoiser(x, 0.1)), (denoiser, image(4, 5, 1)), order=1,
        modes=("fwd", "rev"), atol=1e-6, rtol=1e-6,
    )  # fmt: skip


def test_hessian_products_of_a_loss_agree_with_finite_differences(denoiser):
    x, direction = image(4, 5, 1), image(4, 5, 1, seed=1) - 0.5
    slope = jax.jit(jax.grad(lambda x: jnp.sum(jnp.sin(denoiser(x, 0.1)))))
    product = jax.jvp(slope, (x,), (direction,))[1]
    step = 1e-5
    expected = (slope(x + step * direction) - slope(x - step * direction)) / (2 * step)
    np.testing.assert_allclose(product, expected, rtol=1e-6, atol=1e-8)


def test_descent_on_data_and_potential_lowers_their_sum(denoiser):
    y = image(6, 5, 1)

    @jax.jit
    @jax.value_and_grad
    def objective(x):
        return 2 * jnp.sum((x - y) ** 2) + denoiser.potential(x, 0.1)

    x, values = y, []
    for _ in range(3):
        value, slope = objective(x)
        np.testing.assert_allclose(slope, 4 * (x - y) + x - denoiser(x, 0.1), rtol=1e-10)
        values.append(value)
        x = x - 0.05 * slope
    assert jnp.all(jnp.diff(jnp.stack(values)) < 0)


def test_a_noise_level_is_a_parameter_too():
    denoiser = GradientStep(initialised(FFDNet(3, 4), jax.random.key(0), dtype=jnp.float64))
    x = image(6, 6, 1)
    check_grads(
        jax.jit(lambda sigma: denoiser.potential(x, sigma)), (jnp.asarray(0.1),), order=1,
        modes=("rev",), atol=1e-6, rtol=1e-6, eps=1e-6,
    )  # fmt: skip
