"""Pixels that are missing, or counted with different weights."""

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from unrolljax.imaging.operators.checks import as_array, check_finite, check_image_shape
from unrolljax.imaging.operators.operator import Image, Operator


class Inpainting(Operator):
    """`A x = mask x`, pixel by pixel; where the mask is zero (or False) nothing is measured.

    After a blur, `Compose(Inpainting(mask, shape), blur)` measures a blurred image with gaps. Any
    real weights will do: a flat field, or 1 / (standard deviation of each pixel).

    - `mask`: (height, width) for all channels, or the image's shape.
    - `shape`: (height, width, channels) of the image.
    """

    mask: Float[Array, "..."] | Bool[Array, "..."] = eqx.field(converter=as_array)
    shape: tuple[int, int, int] = eqx.field(static=True)

    def __check_init__(self):
        check_image_shape(self.shape, "Inpainting")
        if jnp.shape(self.mask) not in (self.shape[:2], self.shape):
            raise ValueError(
                f"Inpainting(mask) of shape {jnp.shape(self.mask)} must be {self.shape[:2]} or "
                f"{self.shape}."
            )
        check_finite(self.mask, "Inpainting(mask)")

    def apply(self, x: Image) -> Image:
        """`mask x`."""
        return self.diagonal().astype(x.dtype) * x

    def norm(self, tol: float = 1e-3, max_steps: int = 1000) -> Float[Array, ""]:
        """The largest weight."""
        return jnp.max(jnp.abs(self.diagonal()))

    def solve(self, rhs: Image, shift: ArrayLike) -> Image:
        """`rhs / (mask^2 + shift)`."""
        weights = self.diagonal().astype(rhs.dtype)
        return rhs / (weights**2 + jnp.asarray(shift, rhs.dtype))

    def diagonal(self) -> Image:
        """The mask as a number for each entry of the image."""
        mask = jnp.asarray(self.mask, self.image_dtype)
        return jnp.broadcast_to(mask.reshape(*self.shape[:2], -1), self.shape)
