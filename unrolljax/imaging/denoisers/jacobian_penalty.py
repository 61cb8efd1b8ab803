"""A penalty that teaches a denoiser not to stretch."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from unrolljax.imaging.denoisers.lipschitz import Part, lipschitz_constant
from unrolljax.imaging.restoration import Image


def jacobian_penalty(
    denoiser: Any,
    x: Image,
    sigma: Float[Array, ""] | float,
    *,
    margin: Float[Array, ""] | float = 0.05,
    of: Part = "reflection",
    steps: int = 10,
) -> Float[Array, ""]:
    """`max(|J| - 1 + margin, 0)`, J the Jacobian at an image.

    Pesquet, Repetti, Terris & Wiaux (2021). Zero where the local Lipschitz constant is below
    `1 - margin`. The norm comes from `steps` accelerated power iterations, a little too low, and
    the derivative is that of the stretch along the vector they found. Batches are `jax.vmap`.

    - `of`: as for `lipschitz_constant`; the paper's is the reflection `2 D - I`.
    """
    found = lipschitz_constant(denoiser, x, sigma, of=of, tol=0.0, max_steps=steps)
    return jax.nn.relu(found.norm - 1 + jnp.asarray(margin, x.dtype))


def between(
    clean: Float[Array, "..."], noisy: Float[Array, "..."], key: Array
) -> Float[Array, "..."]:
    """A random point on the segment between two images: where the paper takes the penalty."""
    share = jax.random.uniform(key, (), clean.dtype)
    return share * clean + (1 - share) * noisy
