"""Training a denoiser on patches of clean pictures, noise of random strength added."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, UInt8

from unrolljax.imaging.denoisers.learned import Learned

ROUNDING = 1 / 255
"""Weaker noise is lost among the rounding errors of the pictures."""


class Pairs(NamedTuple):
    """Clean patches, the same with noise, and the noise's standard deviations."""

    clean: Float[Array, "batch patch patch 1"]
    noisy: Float[Array, "batch patch patch 1"]
    sigma: Float[Array, " batch"]


def patches(
    tiles: UInt8[Array, "tiles size size"], key: Array, count: int, size: int, dtype=jnp.float32
) -> Float[Array, "count size size 1"]:
    """Random squares of random tiles, turned and mirrored at random, grey values in [0, 1]."""
    cut = jax.vmap(lambda key: _patch(tiles, key, size))(jax.random.split(key, count))
    return cut.astype(dtype)[..., None] / 255


def pairs(clean: Float[Array, "batch patch patch 1"], key: Array, strongest: float) -> Pairs:
    """White Gaussian noise on patches, of a strength of its own for each, up to `strongest`.

    The square root of the strength is uniform: restorations ask for weak noise most of all.
    """
    level, draw = jax.random.split(key)
    sigma = strongest * jax.random.uniform(level, clean.shape[:1], clean.dtype) ** 2
    noise = jax.random.normal(draw, clean.shape, clean.dtype)
    return Pairs(clean, clean + sigma[:, None, None, None] * noise, sigma)


def denoising_loss(denoiser: Learned, pairs: Pairs) -> Float[Array, ""]:
    """Mean of `|error| / sqrt(sigma)`: the root keeps strong noise from outweighing weak noise."""
    found = denoiser.network.apply(denoiser.parameters, pairs.noisy, pairs.sigma)
    error = jnp.mean(jnp.abs(jnp.asarray(found) - pairs.clean), (1, 2, 3))
    return jnp.mean(error / jnp.sqrt(jnp.maximum(pairs.sigma, ROUNDING)))


def clipped_adam(
    learning_rate: float, steps: int, warm_up: int = 100
) -> optax.GradientTransformation:
    """Adam on gradients of norm at most 1; its rate rises for some steps and falls as a cosine.

    It ends at a hundredth of `learning_rate`. Runs shorter than `warm_up` rise for half their
    steps.
    """
    rise = min(warm_up, steps // 2)
    rate = optax.warmup_cosine_decay_schedule(
        learning_rate / 20, learning_rate, rise, steps, learning_rate / 100
    )
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))


def _patch(tiles: Array, key: Array, size: int) -> Array:
    """One of the eight orientations of a random square of a random tile."""
    which, corner, turn = jax.random.split(key, 3)
    start = jax.random.randint(corner, (2,), 0, tiles.shape[1] - size + 1)
    tile = jax.random.randint(which, (), 0, len(tiles))
    patch = jax.lax.dynamic_slice(tiles, (tile, start[0], start[1]), (1, size, size))[0]
    down, right, across = jax.random.bernoulli(turn, shape=(3,))
    patch = jnp.where(down, patch[::-1], patch)
    patch = jnp.where(right, patch[:, ::-1], patch)
    return jnp.where(across, patch.T, patch)
