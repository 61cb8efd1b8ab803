"""A denoiser that is a gradient step on a potential."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from unrolljax.imaging.restoration import Image


class GradientStep(eqx.Module):
    """`D(x) = x - grad g(x)` with `g(x) = |x - N(x, sigma)|^2 / 2` (Hurault et al. 2022).

    With it plug-and-play methods are descent on an explicit objective: the fixed points of
    `REDGradient` are the stationary points of `data.value(x) + weight * g(x)`.

    - `denoiser`: N, any denoiser; one with smooth activations, so that g has a continuous gradient
      (`DnCNN(activation=flax.linen.softplus)`).
    """

    denoiser: Any

    def potential(self, x: Image, sigma: Float[Array, ""] | float) -> Float[Array, ""]:
        """`g(x)`, at least 0."""
        return jnp.sum((x - self.denoiser(x, sigma)) ** 2) / 2

    def __call__(self, x: Image, sigma: Float[Array, ""] | float) -> Image:
        """The image after one gradient step: one pass of N forward and one back."""
        return x - jax.grad(self.potential)(x, sigma)
