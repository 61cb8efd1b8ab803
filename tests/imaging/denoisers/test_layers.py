import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unrolljax.imaging.convolution import convolve
from unrolljax.imaging.denoisers.layers import (
    Convolution,
    pad_to_multiple,
    to_channels,
    to_pixels,
    with_noise_map,
)


@pytest.fixture
def x():
    return jnp.asarray(np.random.default_rng(0).standard_normal((2, 4, 6, 3)))


def test_a_square_of_pixels_becomes_the_channels_of_one(x):
    found = to_channels(x, 2)
    assert found.shape == (2, 2, 3, 12)
    for row in range(2):
        for column in range(2):
            channels = found[..., 3 * (2 * row + column) :][..., :3]
            np.testing.assert_array_equal(channels, x[:, row::2, column::2])


def test_pixels_come_back_from_channels(x):
    np.testing.assert_array_equal(to_pixels(to_channels(x, 2), 2), x)


def test_padding_repeats_the_last_row_and_column_only_where_needed(x):
    padded = pad_to_multiple(x, 4)
    assert padded.shape == (2, 4, 8, 3)
    np.testing.assert_array_equal(padded[:, :, :6], x)
    np.testing.assert_array_equal(padded[:, :, 6:], jnp.repeat(x[:, :, -1:], 2, axis=2))
    assert pad_to_multiple(x, 2).shape == x.shape


@pytest.mark.parametrize("sigma", [0.25, [0.25, 0.5]])
def test_the_noise_map_is_one_constant_channel_for_each_image(x, sigma):
    found = with_noise_map(x, jnp.asarray(sigma))
    np.testing.assert_array_equal(found[..., :3], x)
    expected = np.broadcast_to(np.reshape(sigma, (-1, 1, 1)), (2, 4, 6))
    np.testing.assert_array_equal(found[..., 3], expected)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_a_convolution_has_the_precision_of_its_images(x, dtype):
    layer = Convolution(5, bias=True, border="periodic")
    x = x.astype(dtype)
    kernel = jnp.ones((3, 3, 3, 5), dtype)
    initial = layer.init(jax.random.key(0), x)
    assert {v.dtype for v in jax.tree.leaves(initial)} == {jnp.dtype(dtype)}
    found = layer.apply({"params": {"kernel": kernel, "bias": jnp.ones((1, 1, 1, 5), dtype)}}, x)
    expected = convolve(x, kernel, "periodic") + 1
    np.testing.assert_array_equal(jnp.asarray(found), expected)
