"""The operator that measures the image itself: denoising."""

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from unrolljax.imaging.operators.checks import check_image_shape
from unrolljax.imaging.operators.operator import Image, Operator


class Identity(Operator):
    """`A x = x`, for images of `shape` (height, width, channels)."""

    shape: tuple[int, int, int] = eqx.field(static=True)

    def __check_init__(self):
        check_image_shape(self.shape, "Identity")

    def apply(self, x: Image) -> Image:
        """`x`."""
        return x

    def norm(self, tol: float = 1e-3, max_steps: int = 1000) -> Float[Array, ""]:
        """One."""
        return jnp.ones(())

    def solve(self, rhs: Image, shift: ArrayLike) -> Image:
        """`rhs / (1 + shift)`."""
        return rhs / (1 + jnp.asarray(shift, rhs.dtype))

    def diagonal(self) -> Image:
        """Ones."""
        return jnp.ones(self.shape, self.image_dtype)
