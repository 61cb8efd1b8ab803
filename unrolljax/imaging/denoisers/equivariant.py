"""A denoiser that turns and mirrors with its image."""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from unrolljax.imaging.restoration import Image


class Equivariant(eqx.Module):
    """The mean of a denoiser over the symmetries of the square (Terris et al. 2024).

    Its Jacobian is closer to symmetric than the denoiser's, so that plug-and-play iterations are
    steadier, and it denoises a little better, at as many times the cost as there are views.

    - `denoiser`: any `denoiser(x, sigma)` of one image.
    - `views`: static; 2 for the half turn, 4 for reflections too, 8 for all.
    """

    denoiser: Any
    views: Literal[2, 4, 8] = eqx.field(default=8, static=True)

    def __check_init__(self):
        if self.views not in (2, 4, 8):
            raise ValueError(f"Equivariant(views={self.views}) must be 2, 4 or 8.")

    def __call__(self, x: Image, sigma: Float[Array, ""] | float) -> Image:
        """The image without its noise of standard deviation `sigma`."""
        found = self._mean(x, sigma)
        if self.views < 8:
            return found
        return (found + self._mean(x.swapaxes(0, 1), sigma).swapaxes(0, 1)) / 2

    def _mean(self, x: Image, sigma: Float[Array, ""] | float) -> Image:
        """Over the views that keep the image's height and width."""
        flips = ((), (0, 1), (0,), (1,))[: self.views]
        seen = jnp.stack([jnp.flip(x, axes) for axes in flips])
        found = jax.vmap(lambda view: self.denoiser(view, sigma))(seen)
        back = [jnp.flip(y, axes) for y, axes in zip(found, flips, strict=True)]
        return jnp.mean(jnp.stack(back), axis=0)
