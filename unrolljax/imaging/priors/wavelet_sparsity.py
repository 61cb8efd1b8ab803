"""Sparsity in orthonormal wavelets."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from unrolljax.imaging.priors.prior import Prior
from unrolljax.imaging.restoration import Image
from unrolljax.prox.elementwise import l1, l1_norm
from unrolljax.prox.wavelets import Wavelets


class WaveletSparsity(Prior):
    """The l1 norm of an image's wavelet details; its coarse image is free.

    The transform is orthonormal, so that the prior has a proximal operator: it serves
    ProximalGradient (also accelerated), ADMM and PrimalDual. Channels are summed.

    - `wavelets`: of the image's height and width, which must be multiples of `2**scales`;
      powers of two allow every number of scales. A ValueError of `Wavelets` says so.
    """

    wavelets: Wavelets = eqx.field(static=True)

    def value(self, x: Image) -> Float[Array, ""]:
        """The sum of the moduli of all details."""
        return l1_norm(jnp.where(self._details(), self.transform(x), 0))

    def transform(self, x: Image) -> Float[Array, "n channels"]:
        """The wavelet codes of the channels."""
        return jax.vmap(self.wavelets.analyse, in_axes=2, out_axes=1)(x)

    def prox(self, z: Float[Array, "n channels"], step: ArrayLike) -> Float[Array, "n channels"]:
        """Details shrunk by `step`."""
        return jnp.where(self._details(), l1(z, jnp.asarray(step).astype(z.dtype)), z)

    def image_prox(self, v: Image, step: ArrayLike) -> Image:
        """The image whose details are those of v, shrunk by `step`."""
        return self._image(self.prox(self.transform(v), step))

    def argmin(self, data: Any, target: Array, penalty: ArrayLike) -> Image:
        """The data term's proximal operator at the image of `target`."""
        return data.prox(self._image(target), 1 / jnp.asarray(penalty))

    def _image(self, z: Float[Array, "n channels"]) -> Image:
        return jax.vmap(self.wavelets.synthesise, in_axes=1, out_axes=2)(z)

    def _details(self) -> Array:
        return jnp.asarray(self.wavelets.bands() > 0)[:, None]
