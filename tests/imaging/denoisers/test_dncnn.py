import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.test_util import check_grads
from scipy.signal import correlate2d

from unrolljax.imaging.denoisers.dncnn import DnCNN
from unrolljax.imaging.denoisers.learned import Learned, initialised


def image(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).random(shape))


def with_biases(network):
    """Biases that are not zero, which `init` would make them."""
    start = initialised(network, jax.random.key(0), dtype=jnp.float64)
    rng = np.random.default_rng(1)
    parameters = jax.tree.map(
        lambda v: v + 0.1 * jnp.asarray(rng.standard_normal(v.shape)), start.parameters
    )
    return Learned(network, parameters)


def test_it_is_what_scipy_computes_layer_by_layer():
    denoiser = with_biases(DnCNN(depth=3, width=4))
    x = image(6, 7, 1)
    hidden = np.asarray(x)
    for k in range(3):
        layer = denoiser.parameters["params"][f"Convolution_{k}"]
        kernel, bias = np.asarray(layer["kernel"]), np.asarray(layer["bias"])
        channels = [
            sum(
                correlate2d(hidden[..., i], kernel[:, :, i, o], mode="same")
                for i in range(kernel.shape[2])
            )
            for o in range(kernel.shape[3])
        ]
        hidden = np.stack(channels, -1) + bias[0, 0]
        hidden = np.maximum(hidden, 0) if k < 2 else hidden
    np.testing.assert_allclose(denoiser(x, 0.1), x - hidden, rtol=1e-12, atol=1e-12)


def test_the_published_network_has_as_many_parameters():
    shapes = jax.eval_shape(lambda: initialised(DnCNN(), jax.random.key(0)))
    # 17 convolutions of 64 channels and their biases (Zhang et al. 2017, section III.A).
    expected = 9 * 64 + 64 + 15 * (9 * 64 * 64 + 64) + 9 * 64 + 1
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == expected


def test_it_takes_no_notice_of_the_noise_level():
    denoiser = with_biases(DnCNN(depth=3, width=4))
    np.testing.assert_array_equal(denoiser(image(5, 4, 1), 0.1), denoiser(image(5, 4, 1), 0.2))


def test_second_derivatives_of_a_smooth_one_agree_with_finite_differences():
    denoiser = with_biases(DnCNN(depth=3, width=2, activation=nn.softplus))
    check_grads(
        jax.jit(lambda denoiser, x: denoiser(x, 0.1)), (denoiser, image(4, 5, 1)), order=2,
        modes=("fwd", "rev"), atol=1e-5, rtol=1e-5,
    )  # fmt: skip
