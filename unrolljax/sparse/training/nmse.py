"""Normalised mean square errors in dB: the two conventions, which differ by 7 to 24 dB."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def total_nmse(x: Float[Array, "batch n"], truth: Float[Array, "batch n"]) -> Float[Array, ""]:
    """`10 log10(sum |x - truth|^2 / sum |truth|^2)` over all codes (Chen et al. 2018)."""
    return _decibel(jnp.sum((x - truth) ** 2), jnp.sum(truth**2))


def mean_nmse(x: Float[Array, "batch n"], truth: Float[Array, "batch n"]) -> Float[Array, ""]:
    """The mean over codes of each one's dB (Open-L2O, Chen et al. 2022); zero codes left out."""
    energy = jnp.sum(truth**2, axis=1)
    return jnp.mean(_decibel(jnp.sum((x - truth) ** 2, axis=1), energy), where=energy > 0)


def _decibel(error: Array, energy: Array) -> Array:
    """Bounded below, so that an exact recovery has a finite figure and a derivative."""
    smallest = jnp.finfo(error.dtype).tiny
    ratio = error / jnp.maximum(energy, smallest)
    return 10 * jnp.log10(jnp.maximum(ratio, jnp.finfo(error.dtype).eps ** 2))
