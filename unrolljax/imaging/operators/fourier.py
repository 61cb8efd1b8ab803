"""Some of an image's frequencies: magnetic resonance imaging with one coil."""

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Complex, Float

from unrolljax.imaging.operators.checks import as_array, check_finite, check_image_shape
from unrolljax.imaging.operators.operator import Image, Operator


class Fourier(Operator):
    """`A x = mask F x`, with the orthonormal discrete Fourier transform F of both axes.

    Frequency zero is at [0, 0], as `fft2` orders them: `ifftshift` a mask drawn around the middle.

    - `mask`: (height, width), the weight of each frequency; zero or False where none is measured.
    - `shape`: (height, width, channels) of the image.
    - `complex_images`: whether images are complex; real ones are measured twice, at a frequency
      and its mirror image.
    """

    mask: Float[Array, "height width"] | Bool[Array, "height width"] = eqx.field(converter=as_array)
    shape: tuple[int, int, int] = eqx.field(static=True)
    complex_images: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        check_image_shape(self.shape, "Fourier")
        check_frequency_mask(self.mask, self.shape, "Fourier")

    def apply(self, x: Image) -> Complex[Array, "height width channels"]:
        """The measured frequencies; zero where none are."""
        spectrum = jnp.fft.fft2(x, axes=(0, 1), norm="ortho")
        return self.mask[..., None].astype(spectrum.dtype) * spectrum

    def gram(self, x: Image) -> Image:
        """The image with its frequencies weighed by the squared mask."""
        return self._filtered(x, self._weights(x.real.dtype))

    def norm(self, tol: float = 1e-3, max_steps: int = 1000) -> Float[Array, ""]:
        """The largest weight; for real images the quadratic mean over mirrored frequencies."""
        return jnp.sqrt(jnp.max(self._weights(jnp.finfo(self.image_dtype).dtype)))

    def solve(self, rhs: Image, shift: ArrayLike) -> Image:
        """`(A* A + shift I)^-1 rhs`: a division in Fourier space."""
        weights = self._weights(rhs.real.dtype)
        return self._filtered(rhs, 1 / (weights + jnp.asarray(shift, weights.dtype)))

    def _weights(self, dtype) -> Float[Array, "height width 1"]:
        """The eigenvalues of `A* A`, over real images where those are real."""
        squares = self.mask.astype(dtype)[..., None] ** 2
        if self.complex_images:
            return squares
        mirrored = jnp.roll(jnp.flip(squares, (0, 1)), 1, (0, 1))
        return (squares + mirrored) / 2

    def _filtered(self, x: Image, weights: Float[Array, "height width 1"]) -> Image:
        spectrum = jnp.fft.fft2(x, axes=(0, 1))
        image = jnp.fft.ifft2(weights.astype(spectrum.dtype) * spectrum, axes=(0, 1))
        return image if self.complex_images else image.real


class MultiCoil(Operator):
    """Fourier measurements by several coils, each seeing the image with its own sensitivity.

    `A x = (mask F (s_c x))_c`, of shape (coils, height, width, channels): parallel magnetic
    resonance imaging (SENSE, Pruessmann et al. 1999).

    - `sensitivities`: complex, (coils, height, width).
    - `mask`, `shape`, `complex_images`: as of `Fourier`.
    """

    sensitivities: Complex[Array, "coils height width"] = eqx.field(converter=as_array)
    mask: Float[Array, "height width"] | Bool[Array, "height width"] = eqx.field(converter=as_array)
    shape: tuple[int, int, int] = eqx.field(static=True)
    complex_images: bool = eqx.field(static=True, default=True)

    def __check_init__(self):
        check_image_shape(self.shape, "MultiCoil")
        check_frequency_mask(self.mask, self.shape, "MultiCoil")
        extent = jnp.shape(self.sensitivities)
        complex_valued = jnp.issubdtype(jnp.result_type(self.sensitivities), jnp.complexfloating)
        if len(extent) != 3 or extent[1:] != self.shape[:2] or not complex_valued:
            raise ValueError(
                f"MultiCoil(sensitivities) must be complex of shape (coils, {self.shape[0]}, "
                f"{self.shape[1]}), got {jnp.result_type(self.sensitivities)} {extent}."
            )
        check_finite(self.sensitivities, "MultiCoil(sensitivities)")

    def apply(self, x: Image) -> Complex[Array, "coils height width channels"]:
        """The measured frequencies of each coil's image."""
        seen = self.sensitivities[..., None] * x[None].astype(self.sensitivities.dtype)
        spectrum = jnp.fft.fft2(seen, axes=(1, 2), norm="ortho")
        return self.mask[None, ..., None].astype(spectrum.dtype) * spectrum


def check_frequency_mask(mask: ArrayLike, shape: tuple[int, int, int], name: str) -> None:
    """Raise unless a mask is finite and has a weight for each frequency."""
    if jnp.shape(mask) != shape[:2]:
        raise ValueError(f"{name}(mask) of shape {jnp.shape(mask)} must be {shape[:2]}.")
    check_finite(mask, f"{name}(mask)")
