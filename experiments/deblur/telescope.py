"""What a telescope makes of a scene: blur, photon counts, missing pixels; and two views of them."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from unrolljax.imaging import data_terms, operators, psf

KERNEL = 25
"""Pixels of the point spread function, along each side."""

NEAR = 1.5
"""Standard deviation, in pixels, of the weights of neighbours that say how bright a pixel is."""

Scene = Float[Array, "height width 1"]


class Exposure(NamedTuple):
    """Counts of photons, and which pixels counted (1) or are missing (0)."""

    counts: Scene
    seen: Scene


class Telescope(eqx.Module):
    """A Moffat point spread function, and how much light there is.

    - `peak`: photons of a white pixel; `background`: photons that are not the scene's, per pixel.
    - `missing`: share of the pixels that are lost.
    """

    kernel: Float[Array, "rows columns"]
    peak: Array
    background: Array
    missing: Array

    @classmethod
    def pointed(cls, width: float, peak: float, background: float, missing: float) -> "Telescope":
        """With a full width at half maximum in pixels."""
        kernel = psf.moffat(KERNEL, jnp.asarray(width).astype(float), 3.0)
        return cls(kernel, *(jnp.asarray(v).astype(float) for v in (peak, background, missing)))

    def expose(self, scene: Scene, key: Array) -> Exposure:
        """One exposure of a scene, grey values in [0, 1]."""
        light, loss = jax.random.split(key)
        rate = self.peak * self._blur(scene)(scene) + self.background
        counts = jax.random.poisson(light, jnp.maximum(rate, 0)).astype(scene.dtype)
        seen = jax.random.bernoulli(loss, 1 - self.missing, scene.shape).astype(scene.dtype)
        return Exposure(counts * seen, seen)

    def poisson(self, exposure: Exposure) -> data_terms.Poisson:
        """The counts as they are distributed."""
        seen = operators.Inpainting(exposure.seen, exposure.seen.shape)  # pyright: ignore
        through = operators.Compose(seen, self._blur(exposure.seen))
        return data_terms.Poisson(through, exposure.counts, self.background, self.peak)

    def gaussian(self, exposure: Exposure) -> data_terms.Gaussian:
        """The counts as numbers with errors: the root of what the neighbours count."""
        near = operators.Blur(psf.gaussian(9, NEAR).astype(self.peak.dtype), exposure.seen.shape)  # pyright: ignore
        expected = near(exposure.counts) / jnp.maximum(near(exposure.seen), 1e-3)
        deviation = jnp.sqrt(jnp.maximum(expected, self.background)) / self.peak
        y = (exposure.counts - self.background) / self.peak
        unseen = jnp.where(exposure.seen > 0, deviation, jnp.inf)
        return data_terms.Gaussian.weighted(self._blur(y), y, unseen)

    def filled(self, exposure: Exposure) -> Scene:
        """The exposure in grey values, its holes filled from their neighbours."""
        near = operators.Blur(psf.gaussian(9, 1.0).astype(self.peak.dtype), exposure.seen.shape)  # pyright: ignore
        around = near(exposure.counts) / jnp.maximum(near(exposure.seen), 1e-3)
        counts = jnp.where(exposure.seen > 0, exposure.counts, around)
        return (counts - self.background) / self.peak

    def _blur(self, like: Scene) -> operators.Blur:
        return operators.Blur(self.kernel, like.shape)  # pyright: ignore
