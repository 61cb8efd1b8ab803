import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from unrolljax.imaging.denoisers import Equivariant, FFDNet, initialised

X = jnp.asarray(np.random.default_rng(0).uniform(size=(9, 12, 1)))
NETWORK = initialised(FFDNet(depth=3, width=4), jax.random.key(0), dtype=jnp.float64)


def turned(x):
    """All images of a picture under the symmetries of the square: half turn, flips, the rest."""
    views = [x, x[::-1, ::-1], x[::-1], x[:, ::-1]]
    return views + [view.swapaxes(0, 1) for view in views]


@pytest.mark.parametrize("views", [2, 4, 8])
def test_it_turns_with_its_image(views):
    denoiser = eqx.filter_jit(Equivariant(NETWORK, views))
    expected = turned(denoiser(X, 0.1))
    for image, found in zip(turned(X)[:views], expected[:views], strict=True):
        np.testing.assert_allclose(denoiser(image, 0.1), found, atol=1e-12)
    assert np.max(np.abs(NETWORK(X[::-1], 0.1) - NETWORK(X, 0.1)[::-1])) > 1e-3


def test_it_is_the_mean_over_the_views():
    back = [NETWORK(view, 0.1) for view in turned(X)]
    back = [y if k < 4 else y.swapaxes(0, 1) for k, y in enumerate(back)]
    mean = sum(turned(y)[k % 4] for k, y in enumerate(back)) / 8
    np.testing.assert_allclose(Equivariant(NETWORK)(X, 0.1), mean, atol=1e-12)


def test_a_symmetric_denoiser_stays_as_it_is():
    np.testing.assert_allclose(Equivariant(lambda x, sigma: x / (1 + sigma))(X, 0.5), X / 1.5)


def test_its_derivatives_are_those_of_differences():
    smooth = Equivariant(lambda x, sigma: jnp.tanh(x * jnp.roll(x, 1, 0)) * sigma)
    check_grads(smooth, (X, jnp.asarray(0.3)), order=2, modes=("rev", "fwd"), atol=1e-6, rtol=1e-6)


def test_other_numbers_of_views_are_refused():
    with pytest.raises(ValueError, match="views=3"):
        Equivariant(NETWORK, 3)
