"""Orthonormal wavelets of images: periodic Haar and Daubechies-4, several scales."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

_ROOT = math.sqrt(3)
LOW_PASS = {
    "haar": (1 / math.sqrt(2), 1 / math.sqrt(2)),
    "daubechies4": tuple(
        v / (4 * math.sqrt(2)) for v in (1 + _ROOT, 3 + _ROOT, 3 - _ROOT, 1 - _ROOT)
    ),
}
"""Taps of the low-pass filters: of one and of two vanishing moments (Daubechies 1988)."""


class Wavelets(eqx.Module):
    """The periodic, separable transform of images of one shape (Mallat 1989).

    A code is flat and holds the bands one after the other: the coarse image, then of each scale,
    the coarsest first, details across the columns, across the rows, and across both (Mallat's
    horizontal, vertical, diagonal). Norms are kept, and `synthesise` is inverse and transpose of
    `analyse`.

    - `shape`: rows and columns; both multiples of `2**scales`, else a ValueError says so.
    - `family`: "haar" or "daubechies4".
    """

    shape: tuple[int, int] = eqx.field(static=True)
    scales: int = eqx.field(static=True)
    family: str = eqx.field(static=True, default="haar")

    def __check_init__(self):
        if self.family not in LOW_PASS:
            raise ValueError(f"family={self.family!r} must be one of {', '.join(LOW_PASS)}.")
        if self.scales < 1 or any(size < 1 or size % 2**self.scales for size in self.shape):
            raise ValueError(
                f"Wavelets of scales={self.scales} need an image whose sides are multiples of "
                f"2**scales, scales at least 1; got shape {self.shape}. Crop it, or take fewer "
                "scales."
            )

    def analyse(self, image: Float[Array, "rows columns"]) -> Float[Array, " n"]:
        """The code of an image."""
        if image.shape != self.shape:
            raise ValueError(f"The image has shape {image.shape}; these wavelets {self.shape}.")
        bands = []
        for _ in range(self.scales):
            (image, across), (along, both) = (
                self._split(half, axis=1) for half in self._split(image, axis=0)
            )
            bands.extend(band.ravel() for band in (both, along, across))
        return jnp.concatenate([image.ravel(), *reversed(bands)])

    def synthesise(self, code: Float[Array, " n"]) -> Float[Array, "rows columns"]:
        """The image of a code."""
        image = jax.ShapeDtypeStruct(self.shape, code.dtype)
        return jax.linear_transpose(self.analyse, image)(code)[0]

    def bands(self) -> Int[np.ndarray, " n"]:
        """To each entry of a code the number of its band: 0 is the coarse image."""
        rows, columns = (size >> self.scales for size in self.shape)
        sizes = [rows * columns]
        for scale in range(self.scales):
            sizes += 3 * [rows * columns * 4**scale]
        return np.repeat(np.arange(len(sizes)), sizes)

    def _split(self, image: Array, axis: int) -> tuple[Array, Array]:
        """The low and the high half of the band along an axis."""
        low = LOW_PASS[self.family]
        high = [tap * (-1) ** k for k, tap in enumerate(reversed(low))]
        taps = jnp.asarray([low, high], image.dtype)
        shifted = jnp.stack([jnp.roll(image, -k, axis) for k in range(len(low))])
        halves = jnp.tensordot(taps, jnp.moveaxis(shifted, axis + 1, 1)[:, ::2], 1)
        low_half, high_half = jnp.moveaxis(halves, 1, axis + 1)
        return low_half, high_half
