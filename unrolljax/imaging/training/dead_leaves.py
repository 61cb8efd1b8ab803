"""Pictures of overlapping shapes, which have the edges that photographs are rich in."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from skimage.draw import ellipse, polygon

Grey = Float[np.ndarray, "height width"]
Pixels = tuple[Int[np.ndarray, " count"], Int[np.ndarray, " count"]]

COVERED = 2.5
"""How often the shapes cover a picture, on average, before it is done."""


class Radii(NamedTuple):
    """Sizes with density r^(-1 - exponent) between two bounds, in pixels."""

    smallest: float
    largest: float
    exponent: float

    def draw(self, rng: np.random.Generator) -> float:
        """One size."""
        low, high = self.smallest**-self.exponent, self.largest**-self.exponent
        return float((high + (low - high) * rng.random()) ** (-1 / self.exponent))


def dead_leaves(
    rng: np.random.Generator, size: int, photographs: Sequence[Grey]
) -> Float[np.ndarray, "size size"]:
    """One picture of random ellipses, polygons, blobs and bent stripes, the last one on top.

    The dead leaves model (Matheron 1968; to train denoisers: Achddou, Gousseau & Ladjal 2021).
    Shapes are constant, shaded, or textured by a photograph; most of their greys are those of one
    photograph. Drawn at twice the size, so that edges are smooth. Grey values in [0, 1].
    """
    side = 2 * size
    palette = photographs[int(rng.integers(len(photographs)))].ravel()
    radii = Radii(rng.uniform(4, 14), side * rng.uniform(0.15, 0.6), rng.uniform(1, 2))
    picture = np.full((side, side), _grey(rng, palette), np.float32)
    missing = COVERED * side**2
    while missing > 0:
        radius, centre = radii.draw(rng), rng.uniform(-0.1 * side, 1.1 * side, 2)
        pixels = _SHAPES[rng.integers(len(_SHAPES))](rng, centre, radius, side)
        picture[pixels] = _grey(rng, palette) + _surface(rng, pixels, radius, side, photographs)
        missing -= max(len(pixels[0]), 1)
    return np.clip(picture.reshape(size, 2, size, 2).mean((1, 3)), 0, 1)


def _grey(rng: np.random.Generator, palette: np.ndarray) -> float:
    return palette[rng.integers(len(palette))] if rng.random() < 0.7 else rng.random()


def _surface(
    rng: np.random.Generator, pixels: Pixels, radius: float, side: int, photographs: Sequence[Grey]
) -> np.ndarray | float:
    """What is added to a shape's grey: a texture, a slope, or nothing."""
    kind = rng.random()
    rows, columns = pixels
    if kind < 0.3 and radius > 6 and len(rows):
        photograph = photographs[int(rng.integers(len(photographs)))]
        height, width = photograph.shape
        top, left = rng.integers(height), rng.integers(width)
        texture = photograph[(rows // 2 + top) % height, (columns // 2 + left) % width]
        return rng.uniform(0.2, 1) * (texture - texture.mean())
    if kind < 0.6 and len(rows):
        slope = rng.normal(0, 0.6, 2) / side
        return slope[0] * (rows - rows.mean()) + slope[1] * (columns - columns.mean())
    return 0.0


def _ellipse(rng: np.random.Generator, centre: np.ndarray, radius: float, side: int) -> Pixels:
    turn = rng.uniform(-np.pi, np.pi)
    row, column = centre
    return ellipse(row, column, radius, radius * rng.uniform(0.3, 1), (side, side), turn)


def _polygon(rng: np.random.Generator, centre: np.ndarray, radius: float, side: int) -> Pixels:
    corners = rng.integers(3, 8)
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    outline = centre[:, None] + radius * rng.uniform(0.6, 1.4, corners) * _direction(angles)
    return polygon(*outline, shape=(side, side))


def _blob(rng: np.random.Generator, centre: np.ndarray, radius: float, side: int) -> Pixels:
    angles, order = np.linspace(0, 2 * np.pi, 40), np.arange(1, 6)[:, None]
    waves = np.cos(order * angles + rng.uniform(0, 2 * np.pi, (5, 1)))
    swing = np.sum(rng.normal(0, 0.35, (5, 1)) / order * waves, 0)
    outline = centre[:, None] + radius * (1 + swing) * _direction(angles)
    return polygon(*outline, shape=(side, side))


def _stripe(rng: np.random.Generator, centre: np.ndarray, radius: float, side: int) -> Pixels:
    along = np.linspace(-1, 1, 20)
    angles = rng.uniform(0, 2 * np.pi) + rng.normal(0, 0.7) * along
    middle = centre[:, None] + np.cumsum(0.3 * radius * _direction(angles), 1)
    half = max(1.5, min(0.3 * radius, rng.lognormal(1.3, 0.6)))
    across = half * (1 - 0.8 * rng.random() * np.abs(along)) * _direction(angles + np.pi / 2)
    outline = np.concatenate([middle + across, (middle - across)[:, ::-1]], 1)
    return polygon(*outline, shape=(side, side))


def _direction(angles: np.ndarray) -> Float[np.ndarray, "2 count"]:
    return np.stack([np.sin(angles), np.cos(angles)])


_SHAPES = (_ellipse, _polygon, _blob, _stripe)
