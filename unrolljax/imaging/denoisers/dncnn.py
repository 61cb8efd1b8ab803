"""The plain residual network at full resolution."""

from collections.abc import Callable

import flax.linen as nn
import jax
from jaxtyping import Array, Float

from unrolljax.imaging.denoisers.layers import Convolution


class DnCNN(nn.Module):
    """Convolutions with biases that predict the noise (DnCNN, Zhang et al. 2017).

    Free of batch normalisation, which at inference is a factor and a bias of the convolution before
    it: weights that were trained with it are folded into these. Trained for one noise level, it
    takes no notice of `sigma`. Any image size.

    - `depth`: convolutions, two at least; `width`: their channels.
    - `activation`: ReLU as published; a smooth one, such as `flax.linen.softplus`, where second
      derivatives must exist (`GradientStep`). Compared by identity.
    """

    depth: int = 17
    width: int = 64
    channels: int = 1
    activation: Callable[[Array], Array] = jax.nn.relu

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], sigma: Float[Array, ""]
    ) -> Float[Array, "batch height width channels"]:
        """The images without their noise, whatever its level."""
        del sigma
        hidden = Convolution(self.width, bias=True)(x)
        for width in [self.width] * (self.depth - 2) + [self.channels]:
            hidden = Convolution(width, bias=True, activation=self.activation)(hidden)
        return x - hidden
