"""Blur by one point spread function: periodic, or seen through a window with real borders."""

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Complex, Float

from unrolljax.imaging.operators.checks import as_array, check_finite, check_image_shape, concrete
from unrolljax.imaging.operators.conjugate_gradient import conjugate_gradient
from unrolljax.imaging.operators.operator import Image, Operator
from unrolljax.imaging.operators.spectrum import filtered, power, transfer_function


class Blur(Operator):
    """Circular convolution of an image with a kernel, by real fast Fourier transforms.

    - `kernel`: (height, width), or (height, width, channels) for one of its own for each channel;
      the entry at (height // 2, width // 2) meets the pixel itself, which is the middle of an odd
      kernel. No larger than the image.
    - `shape`: (height, width, channels) of the image.
    """

    kernel: Float[Array, "rows columns *channels"] = eqx.field(converter=as_array)
    shape: tuple[int, int, int] = eqx.field(static=True)

    def __check_init__(self):
        check_kernel(self.kernel, self.shape, "Blur")

    def apply(self, x: Image) -> Image:
        """`k * x`."""
        return filtered(x, self.transfer())

    def gram(self, x: Image) -> Image:
        """`k~ * k * x`, with the mirrored kernel k~."""
        return filtered(x, power(self.transfer()))

    def norm(self, tol: float = 1e-3, max_steps: int = 1000) -> Float[Array, ""]:
        """The largest modulus of the transfer function."""
        return jnp.sqrt(jnp.max(power(self.transfer())))

    def solve(self, rhs: Image, shift: ArrayLike) -> Image:
        """`(A* A + shift I)^-1 rhs`: a division in Fourier space."""
        total = power(self.transfer())
        return filtered(rhs, 1 / (total + jnp.asarray(shift, total.dtype)))

    def transfer(self) -> Complex[Array, "height half_width channels"]:
        """The transfer function, as `rfft2` orders frequencies; channels may be 1 for all."""
        return transfer_function(self.kernel, self.shape)


class ValidBlur(Operator):
    """Convolution seen where it needs no pixel outside the image: real, not periodic, borders.

    The image is the whole scene, larger than what is measured by the kernel's size less one:
    `A x` has shape (height - rows + 1, width - columns + 1, channels). Nothing is assumed of the
    pixels beyond the measured ones; they are restored with the rest.

    - `kernel`, `shape`: as those of `Blur`.
    """

    kernel: Float[Array, "rows columns *channels"] = eqx.field(converter=as_array)
    shape: tuple[int, int, int] = eqx.field(static=True)

    def __check_init__(self):
        check_kernel(self.kernel, self.shape, "ValidBlur")

    def apply(self, x: Image) -> Image:
        """The pixels of `k * x` that no border touches."""
        rows, columns = self.kernel.shape[:2]
        top, left = rows - 1 - rows // 2, columns - 1 - columns // 2
        height, width, _ = self.shape
        blurred = self._circular().apply(x)
        return blurred[top : top + height - rows + 1, left : left + width - columns + 1]

    def solve(self, rhs: Image, shift: ArrayLike) -> Image:
        """`(A* A + shift I)^-1 rhs` by conjugate gradients, preconditioned by the periodic blur."""
        circular = self._circular()
        return conjugate_gradient(
            self.shifted_gram(shift), rhs, preconditioner=lambda r: circular.solve(r, shift)
        )

    def _circular(self) -> Blur:
        return Blur(self.kernel, self.shape)


def check_kernel(kernel: ArrayLike, shape: tuple[int, int, int], name: str) -> None:
    """Raise unless a kernel is finite and fits into images of that shape."""
    check_image_shape(shape, name)
    extent = jnp.shape(kernel)
    channels_fit = len(extent) == 2 or (len(extent) == 3 and extent[2] == shape[2])
    if not channels_fit:
        raise ValueError(
            f"{name}(kernel) of shape {extent} must be (height, width), or (height, width, "
            f"{shape[2]}) for images of shape {shape}."
        )
    if extent[0] > shape[0] or extent[1] > shape[1]:
        raise ValueError(
            f"{name}(kernel) of {extent[0]} x {extent[1]} pixels is larger than the image of "
            f"{shape[0]} x {shape[1]}: crop the kernel, or pad the image."
        )
    if concrete(kernel) is not None and not jnp.issubdtype(jnp.result_type(kernel), jnp.floating):
        raise ValueError(f"{name}(kernel) must be float, not {jnp.result_type(kernel)}.")
    check_finite(kernel, f"{name}(kernel)")
