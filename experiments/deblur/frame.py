"""The undecimated Haar frame: differences of local means, per scale and orientation."""

import jax.numpy as jnp
from jaxtyping import Array, Float

ORIENTATIONS = ("vertical edges", "horizontal edges", "diagonal")


def analyse(image: Float[Array, "*batch h w"], scales: int) -> Float[Array, "bands *batch h w"]:
    """Band coefficients, finest scale first, three orientations each; periodic borders.

    With the coarsest local mean, which is left out, the bands are a tight frame: the energies of
    all add up to that of the image, so the bands alone have norm at most one (Coifman & Donoho
    1995, translation-invariant Haar).
    """
    bands, mean = [], image
    for scale in range(scales):
        step = 2**scale
        low, high = _split(mean, step, axis=-2)
        mean, vertical = _split(low, step, axis=-1)
        horizontal, diagonal = _split(high, step, axis=-1)
        bands += [vertical, horizontal, diagonal]
    return jnp.stack(bands)


def _split(image: Array, step: int, axis: int) -> tuple[Array, Array]:
    shifted = jnp.roll(image, step, axis)
    return (image + shifted) / 2, (image - shifted) / 2
