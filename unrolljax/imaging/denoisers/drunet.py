"""A small network at several resolutions: it sees far at little cost."""

import flax.linen as nn
from jaxtyping import Array, Float

from unrolljax.imaging.denoisers.layers import (
    Convolution,
    pad_to_multiple,
    to_channels,
    to_pixels,
    with_noise_map,
)


class DRUNet(nn.Module):
    """Residual blocks at halved resolutions, down and up again (DRUNet, Zhang et al. 2021), small.

    As `FFDNet` it works on 2 x 2 pixels at a time, predicts the noise, is told its level, and has
    no biases: scaling the image and `sigma` scales the output. Any image size.

    - `widths`: channels at each resolution, the first at half of the image's.
    - `blocks`: residual blocks at each resolution, on the way down and, but for the last one, up.
    """

    widths: tuple[int, ...] = (24, 32, 48)
    blocks: int = 1
    channels: int = 1

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], sigma: Float[Array, "*batch"]
    ) -> Float[Array, "batch height width channels"]:
        """The images without their noise; `sigma`: its standard deviation, one or one an image."""
        padded = pad_to_multiple(x, 2 ** len(self.widths))
        hidden = Convolution(self.widths[0])(with_noise_map(to_channels(padded, 2), sigma))
        skipped = []
        for width in self.widths[1:]:
            hidden = self._residual(hidden)
            skipped.append(hidden)
            hidden = Convolution(width, size=1)(to_channels(hidden, 2))
        hidden = self._residual(hidden)
        for skip in reversed(skipped):
            finer = Convolution(4 * skip.shape[-1], size=1)(hidden)
            hidden = self._residual(skip + to_pixels(finer, 2))
        noise = to_pixels(Convolution(4 * self.channels, initializer=_SMALL)(hidden), 2)
        return x - noise[:, : x.shape[1], : x.shape[2]]

    def _residual(self, x: Float[Array, "batch rows columns width"]) -> Array:
        """Blocks of two convolutions, added to what they read."""
        for _ in range(self.blocks):
            hidden = Convolution(x.shape[-1])(x)
            x += Convolution(x.shape[-1], initializer=_SMALL, activation=nn.relu)(hidden)
        return x


# Blocks that start near the identity neither amplify nor need a normalisation.
_SMALL = nn.initializers.variance_scaling(0.02, "fan_in", "truncated_normal")
