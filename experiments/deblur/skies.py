"""Drawn skies to train on, and exposures of them."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from experiments.deblur.telescope import Exposure, Telescope
from unrolljax.imaging.training import Measured
from unrolljax.imaging.training.denoising import patches
from unrolljax.imaging.training.night_skies import night_sky

TILE = 128
"""Pixels of a drawn sky, along each side."""


class Sky(eqx.Module):
    """Pictures, in bytes, and the telescope that looks at them."""

    pictures: UInt8[Array, "count size size"]
    telescope: Telescope


class Looks(NamedTuple):
    """Scenes (count, height, width, 1), and an exposure of each."""

    scenes: Float[Array, "count height width 1"]
    exposures: Exposure


def drawn(count: int, telescope: Telescope, seed: int) -> Sky:
    """So many pictures of galaxies and stars."""
    rng = np.random.default_rng(seed)
    pictures = np.stack([night_sky(rng, TILE) for _ in range(count)])
    return Sky(jnp.asarray(np.round(255 * pictures).astype(np.uint8)), telescope)


def look(sky: Sky, key: Array, count: int, size: int) -> Looks:
    """Random crops, and what the telescope counts."""
    cut, light = jax.random.split(key)
    scenes = patches(sky.pictures, cut, count, size, sky.telescope.peak.dtype)
    return Looks(scenes, jax.vmap(sky.telescope.expose)(scenes, jax.random.split(light, count)))


def measured(sky: Sky, key: Array, count: int, size: int) -> Measured:
    """The same as Gaussian data terms, with their truths."""
    scenes, exposures = look(sky, key, count, size)
    return Measured(eqx.filter_vmap(sky.telescope.gaussian)(exposures), scenes)
