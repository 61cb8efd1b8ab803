"""The undecimated linear B-spline framelets: smooth, first and second differences per axis."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

FILTERS = ("smooth", "slope", "bend")
BANDS = tuple(f"{row} x {column}" for row in FILTERS for column in FILTERS)[1:]
"""The detail bands of one scale: filter along the rows' axis x filter along the columns' axis."""


def analyse(image: Float[Array, "*batch h w"], scales: int) -> Float[Array, "bands *batch h w"]:
    """Detail coefficients, finest scale first, eight bands each; periodic borders.

    Filters `[1, 2, 1] / 4`, `sqrt(2) / 4 [1, 0, -1]` and `[-1, 2, -1] / 4` (Ron & Shen 1997),
    dilated by two from scale to scale. With the coarsest smooth image, which is left out, they are
    a tight frame: the energies of all add up to that of the image, so the details have norm at
    most one.
    """
    details, smooth = [], image
    for scale in range(scales):
        step = 2**scale
        rows = _three(smooth, step, axis=-2)
        smooth, *bands = [band for row in rows for band in _three(row, step, axis=-1)]
        details += bands
    return jnp.stack(details)


def _three(image: Array, step: int, axis: int) -> tuple[Array, Array, Array]:
    ahead, behind = jnp.roll(image, -step, axis), jnp.roll(image, step, axis)
    mean = (ahead + behind) / 4
    return mean + image / 2, math.sqrt(2) / 4 * (behind - ahead), image / 2 - mean
