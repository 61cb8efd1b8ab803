"""A denoiser that is averaged whatever its parameters are."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from unrolljax.imaging.convolution import convolve
from unrolljax.imaging.denoisers.layers import to_channels, to_pixels, with_noise_map


class Averaged(nn.Module):
    """`D = (I + N) / 2` with N non-expansive: D is firmly non-expansive for every parameter.

    N works on 2 x 2 pixels at a time, as `FFDNet` does; its convolutions are `contractive`, its
    activations sort pairs of channels (Anil, Lucas & Grosse 2019), and nothing else changes a
    distance but a crop, so that `|N(x) - N(x')| <= |x - x'|` for images of any size. Plug-and-play
    iterations with it converge wherever those of a proximal operator do. No biases: scaling the
    image and `sigma` scales the output.

    - `depth`: convolutions; `width`: their channels, even.
    """

    depth: int = 7
    width: int = 32
    channels: int = 1

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], sigma: Float[Array, ""]
    ) -> Float[Array, "batch height width channels"]:
        """The images without their noise of standard deviation `sigma`."""
        if self.width % 2:
            raise ValueError(f"Averaged(width={self.width}) must be even: channels are sorted.")
        # Zeros, as repeated pixels would count a difference twice.
        even = jnp.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0)))
        hidden = with_noise_map(to_channels(even, 2), sigma)
        for k in range(self.depth):
            last = k == self.depth - 1
            shape = (3, 3, hidden.shape[-1], 4 * self.channels if last else self.width)
            kernel = self.param(f"kernel_{k}", _orthogonal, shape, x.dtype)
            hidden = convolve(hidden, contractive(kernel))
            hidden = hidden if last else _sorted(hidden)
        return (x + to_pixels(hidden, 2)[:, : x.shape[1], : x.shape[2]]) / 2


def contractive(
    kernel: Float[Array, "rows columns inputs outputs"],
) -> Float[Array, "rows columns inputs outputs"]:
    """The kernel, its channels scaled so that convolution with it never lengthens an image.

    With W the convolution on an infinite image and d one factor for each channel,
    `d_i = (sum_j |W* W|_ij)^(-1/2)` makes `|W d| <= 1` (Prach & Lampert 2022, theorem 1; the row
    sums are over shifts and channels). Restricting the image (a border of zeros) or repeating it
    (a periodic one) does not raise the norm. Outputs are scaled instead, by the same theorem for
    W*, where they are fewer. A kernel with orthogonal convolution is left as it is.
    """
    rows, columns, inputs, outputs = kernel.shape
    if outputs < inputs:
        adjoint = contractive(jnp.flip(kernel, (0, 1)).swapaxes(2, 3))
        return jnp.flip(adjoint, (0, 1)).swapaxes(2, 3)
    images = jnp.pad(
        kernel.transpose(2, 0, 1, 3),
        ((0, 0), (rows // 2,) * 2, (columns // 2,) * 2, (0, 0)),
    )
    gram = convolve(images, kernel.swapaxes(2, 3))
    sums = jnp.sum(jnp.abs(gram), (1, 2, 3))
    # A channel without weights stays without; rounding must not lengthen either.
    rounding = 1 + 8 * inputs * jnp.finfo(kernel.dtype).eps
    scale = jnp.where(sums > 0, jax.lax.rsqrt(jnp.where(sums > 0, sums, 1)), 0)
    return kernel * (scale / rounding).astype(kernel.dtype)[None, None, :, None]


def _sorted(x: Float[Array, "batch rows columns width"]) -> Array:
    """Neighbouring channels in order: a permutation, which keeps every distance or shortens it."""
    a, b = x[..., ::2], x[..., 1::2]
    return jnp.concatenate([jnp.maximum(a, b), jnp.minimum(a, b)], -1)


def _orthogonal(key: Array, shape: tuple[int, ...], dtype) -> Array:
    """One orthogonal matrix for the central pixel, zeros around it: a convolution of norm one."""
    matrix = nn.initializers.orthogonal()(key, shape[2:], dtype)
    return jnp.zeros(shape, dtype).at[shape[0] // 2, shape[1] // 2].set(matrix)
