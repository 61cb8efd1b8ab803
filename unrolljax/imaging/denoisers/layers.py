"""The layers of the networks: the one convolution, and trading pixels for channels."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from unrolljax.imaging.convolution import Border, convolve


class Convolution(nn.Module):
    """`convolve` with a learned kernel and, if asked for, a bias; the parameters' dtype is x's.

    - `activation`: of what it reads. Derivatives compute it again: a loop that is differentiated
      stores one array for each layer instead of two.
    """

    features: int
    size: int = 3
    bias: bool = False
    border: Border = "zero"
    initializer: nn.initializers.Initializer = nn.initializers.he_normal()
    activation: Callable[[Array], Array] | None = None

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width inputs"]
    ) -> Float[Array, "batch height width outputs"]:
        """One convolution of a batch."""
        shape = (self.size, self.size, x.shape[-1], self.features)
        y = self._convolve(x, self.param("kernel", self.initializer, shape, x.dtype))
        if not self.bias:
            return y
        bias = self.param("bias", nn.initializers.zeros, (1, 1, 1, self.features), x.dtype)
        return y + bias

    def _convolve(self, x: Array, kernel: Array) -> Array:
        activation = self.activation
        if activation is None:
            return convolve(x, kernel, self.border)

        def activated(x: Array, kernel: Array) -> Array:
            return convolve(activation(x), kernel, self.border)

        return jax.checkpoint(activated, prevent_cse=False)(x, kernel)


def to_channels(
    x: Float[Array, "batch height width channels"], factor: int
) -> Float[Array, "batch rows columns more"]:
    """Every square of `factor` x `factor` pixels as the channels of one (Shi et al. 2016)."""
    batch, height, width, channels = x.shape
    split = x.reshape(batch, height // factor, factor, width // factor, factor, channels)
    exchanged = split.transpose(0, 1, 3, 2, 4, 5)
    return exchanged.reshape(batch, height // factor, width // factor, factor**2 * channels)


def to_pixels(
    x: Float[Array, "batch rows columns more"], factor: int
) -> Float[Array, "batch height width channels"]:
    """The inverse of `to_channels`."""
    batch, rows, columns, more = x.shape
    channels = more // factor**2
    split = x.reshape(batch, rows, columns, factor, factor, channels)
    return split.transpose(0, 1, 3, 2, 4, 5).reshape(
        batch, rows * factor, columns * factor, channels
    )


def pad_to_multiple(
    x: Float[Array, "batch height width channels"], factor: int
) -> Float[Array, "batch rows columns channels"]:
    """Rows and columns repeated at the bottom and the right until `factor` divides the size."""
    rows, columns = (-n % factor for n in x.shape[1:3])
    return jnp.pad(x, ((0, 0), (0, rows), (0, columns), (0, 0)), mode="edge")


def with_noise_map(
    x: Float[Array, "batch height width channels"], sigma: Float[Array, "*batch"]
) -> Float[Array, "batch height width more"]:
    """The images and one more channel, constant, that tells the noise level (Zhang et al. 2018)."""
    level = jnp.reshape(jnp.asarray(sigma, x.dtype), (-1, 1, 1, 1))
    return jnp.concatenate([x, jnp.broadcast_to(level, (*x.shape[:3], 1))], -1)
