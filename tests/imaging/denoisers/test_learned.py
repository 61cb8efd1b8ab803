import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unrolljax.imaging.denoisers.ffdnet import FFDNet
from unrolljax.imaging.denoisers.learned import initialised, with_parameters

NETWORK = FFDNet(depth=2, width=3)


@pytest.fixture
def denoiser():
    return initialised(NETWORK, jax.random.key(0), dtype=jnp.float64)


def image(*shape):
    return jnp.asarray(np.random.default_rng(0).random(shape))


def test_it_is_the_network_applied_to_one_image(denoiser):
    x = image(8, 6, 1)
    expected = NETWORK.apply(denoiser.parameters, x[None], jnp.asarray(0.1))[0]
    np.testing.assert_array_equal(denoiser(x, 0.1), expected)


def test_vmap_over_images_and_noise_levels(denoiser):
    x, sigma = image(3, 8, 6, 1), jnp.asarray([0.1, 0.2, 0.3])
    found = jax.vmap(denoiser)(x, sigma)
    np.testing.assert_allclose(found[1], denoiser(x[1], 0.2), rtol=1e-12)


def test_other_parameters_compile_nothing(denoiser):
    traced = []

    @eqx.filter_jit
    def run(denoiser, x, sigma):
        traced.append(x)
        return denoiser(x, sigma)

    run(denoiser, image(8, 6, 1), jnp.asarray(0.1))
    other = initialised(FFDNet(depth=2, width=3), jax.random.key(1), dtype=jnp.float64)
    run(other, image(8, 6, 1), jnp.asarray(0.2))
    assert len(traced) == 1


@pytest.mark.parametrize("shape", [(8, 6), (8, 6, 3), (2, 8, 6, 1)])
def test_an_image_of_another_shape_is_refused(denoiser, shape):
    with pytest.raises(ValueError, match=r"x must be one image \(height, width, 1\)"):
        denoiser(image(*shape), 0.1)


def test_given_parameters_are_used(denoiser):
    again = with_parameters(FFDNet(depth=2, width=3), denoiser.parameters)
    assert eqx.tree_equal(denoiser, again)


def test_a_parameter_of_another_shape_is_named(denoiser):
    message = r"not those of FFDNet: .*Convolution_0.*of shape \(3, 3, 5, 3\), and should be .* 8\)"
    with pytest.raises(ValueError, match=message):
        with_parameters(FFDNet(depth=2, width=8), denoiser.parameters)


def test_a_parameter_that_the_network_does_not_have_is_named(denoiser):
    more = {"params": {**denoiser.parameters["params"], "scale": jnp.ones(3)}}
    with pytest.raises(ValueError, match=r"scale.*is of shape \(3,\), and should be absent"):
        with_parameters(NETWORK, more)


def test_a_missing_parameter_is_named(denoiser):
    kept = {"params": {"Convolution_0": denoiser.parameters["params"]["Convolution_0"]}}
    with pytest.raises(ValueError, match=r"Convolution_1.*is absent, and should be of shape"):
        with_parameters(NETWORK, kept)
