"""Constraints on atoms: the unit ball, and no atom without a use."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from unrolljax.prox import project_l2_ball


def project_atoms(dictionary: Float[Array, "features atoms"]) -> Float[Array, "features atoms"]:
    """Each column projected onto the unit ball."""
    return jax.vmap(project_l2_ball, in_axes=1, out_axes=1)(dictionary)


def normalise_columns(matrix: Float[Array, "m n"]) -> Float[Array, "m n"]:
    """Columns of norm 1; columns of zeros stay."""
    norms = jnp.sqrt(jnp.sum(matrix**2, axis=0, keepdims=True))
    return matrix / jnp.where(norms > 0, norms, 1)


class Replaced(NamedTuple):
    """A dictionary in which the atoms where `unused` holds are new."""

    dictionary: Float[Array, "features atoms"]
    unused: Bool[Array, " atoms"]


def replace_unused(
    dictionary: Float[Array, "features atoms"],
    samples: Float[Array, "samples features"],
    codes: Float[Array, "samples atoms"],
    least_usage: Float[Array, ""] | float = 0.0,
) -> Replaced:
    """Put the samples coded worst in the place of atoms that few codes use.

    An atom is unused where at most a share `least_usage` of the codes has it. The sample with the
    largest misfit takes the place of the first such atom, and so on; each is scaled to norm 1.
    Samples that are not finite come last.
    """
    unused = jnp.mean(codes != 0, axis=0, dtype=codes.dtype) <= least_usage
    misfit = jnp.sum((samples - codes @ dictionary.T) ** 2, axis=1)
    count = min(len(samples), dictionary.shape[1])
    _, worst = jax.lax.top_k(jnp.where(jnp.isfinite(misfit), misfit, -jnp.inf), count)
    place = (jnp.cumsum(unused) - 1) % count
    candidates = normalise_columns(samples[worst[place]].T)
    return Replaced(jnp.where(unused[None], candidates, dictionary), unused)
