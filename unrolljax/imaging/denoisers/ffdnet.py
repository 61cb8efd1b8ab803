"""A fast network for a range of noise levels, at half the resolution."""

import flax.linen as nn
from jaxtyping import Array, Float

from unrolljax.imaging.denoisers.layers import (
    Convolution,
    pad_to_multiple,
    to_channels,
    to_pixels,
    with_noise_map,
)


class FFDNet(nn.Module):
    """Convolutions of 2 x 2 pixels at a time, told the noise level (FFDNet, Zhang et al. 2018).

    Predicts the noise. Has no biases, so that scaling the image and `sigma` scales the output
    (Mohan et al. 2020): it works at noise levels above those of its training. Any image size.

    - `depth`: convolutions, two at least; `width`: their channels.
    """

    depth: int = 7
    width: int = 32
    channels: int = 1

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], sigma: Float[Array, "*batch"]
    ) -> Float[Array, "batch height width channels"]:
        """The images without their noise; `sigma`: its standard deviation, one or one an image."""
        hidden = with_noise_map(to_channels(pad_to_multiple(x, 2), 2), sigma)
        hidden = Convolution(self.width)(hidden)
        for _ in range(self.depth - 2):
            hidden = Convolution(self.width, activation=nn.relu)(hidden)
        noise = to_pixels(Convolution(4 * self.channels, activation=nn.relu)(hidden), 2)
        return x - noise[:, : x.shape[1], : x.shape[2]]
