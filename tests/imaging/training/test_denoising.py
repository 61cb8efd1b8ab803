import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads

from unrolljax.imaging.denoisers.drunet import DRUNet
from unrolljax.imaging.denoisers.ffdnet import FFDNet
from unrolljax.imaging.denoisers.learned import initialised
from unrolljax.imaging.training.denoising import (
    Pairs,
    clipped_adam,
    denoising_loss,
    pairs,
    patches,
)

KEY = jax.random.key(0)


def test_patches_are_squares_of_tiles_in_one_of_eight_orientations():
    tile = jnp.arange(36, dtype=jnp.uint8).reshape(1, 6, 6)
    found = np.asarray(255 * patches(tile, KEY, 64, 6, jnp.float64)[..., 0])
    turned = [np.rot90(m, k) for m in (tile[0], tile[0].T) for k in range(4)]
    seen = {min(range(8), key=lambda i: np.abs(turned[i] - one).max()) for one in found}
    assert seen == set(range(8))
    for one in found:
        assert min(np.abs(t - one).max() for t in turned) < 1e-12


def test_patches_come_from_inside_of_all_tiles():
    tiles = jnp.asarray([np.full((9, 9), 10), np.full((9, 9), 20)], jnp.uint8)
    found = 255 * patches(tiles, KEY, 32, 5, jnp.float64)
    assert found.shape == (32, 5, 5, 1)
    np.testing.assert_allclose(np.unique(np.round(found, 9)), [10, 20])


def test_noise_has_the_strength_that_it_is_said_to_have():
    batch = pairs(jnp.zeros((16, 64, 64, 1)), KEY, 0.2)
    measured = jnp.std(batch.noisy - batch.clean, (1, 2, 3))
    np.testing.assert_allclose(measured, batch.sigma, rtol=0.05)
    assert jnp.max(batch.sigma) < 0.2
    assert jnp.max(batch.sigma) > 2 * jnp.min(batch.sigma)


def test_the_loss_is_the_mean_error_over_the_root_of_the_noise():
    denoiser = initialised(FFDNet(depth=2, width=3), KEY, dtype=jnp.float64)
    nothing = jax.tree.map(jnp.zeros_like, denoiser)
    clean, sigma = jnp.zeros((2, 4, 4, 1)), jnp.asarray([0.25, 0.0])
    batch = Pairs(clean, clean + 0.1, sigma)
    expected = 0.1 * (1 / 0.5 + np.sqrt(255)) / 2
    np.testing.assert_allclose(denoising_loss(nothing, batch), expected, rtol=1e-12)


def test_the_loss_has_the_gradient_of_finite_differences():
    denoiser = initialised(DRUNet((3, 4)), KEY, dtype=jnp.float64)
    batch = pairs(jax.random.uniform(KEY, (2, 8, 8, 1)), KEY, 0.2)
    check_grads(
        lambda denoiser: denoising_loss(denoiser, batch), (denoiser,), order=1, modes=("rev",),
        atol=1e-6, rtol=1e-6, eps=1e-7,
    )  # fmt: skip


@jax.numpy_dtype_promotion("standard")  # optax's schedules count steps in integers
@pytest.mark.parametrize(("steps", "rise"), [(1000, 100), (50, 25)])
def test_the_rate_rises_and_falls(steps, rise):
    optimizer = clipped_adam(0.1, steps)
    x, gradient = jnp.zeros(()), jnp.asarray(1.0)

    def step(state, _):
        update, state = optimizer.update(gradient, state, x)
        return state, -jnp.asarray(update)

    # Adam's step on a constant gradient is its rate.
    rates = jax.lax.scan(step, optimizer.init(x), length=steps + 1)[1]
    np.testing.assert_allclose(rates[0], 0.005, rtol=1e-4)
    np.testing.assert_allclose(rates[rise], 0.1, rtol=1e-4)
    np.testing.assert_allclose(rates[-1], 0.001, rtol=1e-4)


@jax.numpy_dtype_promotion("standard")
def test_a_huge_gradient_moves_no_further_than_one_of_unit_norm():
    optimizer = clipped_adam(0.1, 10)
    x = jnp.zeros(3)
    updates = [
        optimizer.update(scale * jnp.ones(3), optimizer.init(x), x)[0] for scale in (1e2, 1e6)
    ]
    assert optax.tree.norm(optax.tree.sub(*updates)) < 1e-12
