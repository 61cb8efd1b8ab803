"""Large images, restored in overlapping tiles of one size, so that one program serves them all.

A tile has real borders: its solve restores a scene that is wider than what was measured of it, by
the point spread function's radius on each side (`ValidBlur`). The scenes are blended by smooth
weights that sum to one at every pixel; the border of a tile does not count where another one
sees more.
"""

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from unrolljax.core.solution import Solution

Pixels = Float[np.ndarray, "height width channels"]


class Axis(NamedTuple):
    """Tiles along one axis of an image.

    - `starts`: the first measured pixel of each tile.
    - `size`: measured pixels of a tile.
    - `weights`: how much each pixel of a tile's scene counts, margins included.
    """

    starts: Int[np.ndarray, " tiles"]
    size: int
    weights: Float[np.ndarray, "tiles scene"]


class Tiled(NamedTuple):
    """The blended scene of a whole image, and how the solve of each tile ended."""

    scene: Pixels
    status: Int[np.ndarray, "rows columns"]
    steps: Int[np.ndarray, "rows columns"]


def axis(length: int, size: int, overlap: int, margin: int = 0, stride: int = 1) -> Axis:
    """Equal tiles over `length` measured pixels, spread evenly; one where they fit into `size`.

    - `size`: of a tile at most; it is lowered by less than `stride`.
    - `overlap`: measured pixels that neighbours share at least; weights rise over the middle half
      of them, as a squared sine.
    - `margin`: unmeasured pixels that a scene has on each side; they, and the outer quarter of an
      overlap, count at the borders of the image only.
    - `stride`: tiles start at multiples of it, where a denoiser of several resolutions does to a
      tile what it does to the image.

    Raises a ValueError where sizes are not positive, or tiles move on by less than a stride.
    """
    if min(length, size, stride) < 1 or min(overlap, margin) < 0:
        raise ValueError(f"axis({length=}, {size=}, {overlap=}, {margin=}, {stride=}): too small.")
    size = min(size, length)
    size -= (size - length) % stride
    steps, longest = (length - size) // stride, (size - overlap) // stride
    if steps and longest < 1:
        raise ValueError(
            f"Tiles of {size} pixels that share {overlap} do not move on by {stride}: choose "
            "larger tiles."
        )
    count = 1 + (math.ceil(steps / longest) if steps else 0)
    starts = stride * np.round(np.linspace(0, steps, count)).astype(int)
    extent = size + 2 * margin
    place = np.arange(length + 2 * margin) - starts[:, None]
    before, after = place + 0.5 - margin, extent - 0.5 - margin - place
    # The borders of the image are no cuts.
    before[0], after[-1] = np.inf, np.inf
    depth = np.clip(2 * np.minimum(before, after) / max(overlap, 1) - 0.5, 0, 1)
    share = np.where((place >= 0) & (place < extent), np.sin(np.pi / 2 * depth) ** 2, 0)
    share /= share.sum(0)
    weights = np.stack([row[k : k + extent] for row, k in zip(share, starts, strict=True)])
    return Axis(starts, size, weights)


def restore_tiles(
    restore: Callable[..., Solution], rows: Axis, columns: Axis, *measured: Pixels
) -> Tiled:
    """Restore an image tile by tile; channels stay together.

    - `restore`: a jitted function of one tile of each of `measured`, (rows.size, columns.size,
      channels), whose solution's value is the tile's scene. It compiles once.
    - `measured`: what was measured, and whatever else belongs to its pixels (weights, a mask).

    The scene is of the first one's dtype and has the margins of the axes around it. A tile that
    failed is blended as it is: see `status`.
    """
    scene = np.zeros((_extent(rows), _extent(columns), measured[0].shape[2]), measured[0].dtype)
    shape = (len(rows.starts), len(columns.starts))
    status, steps = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    for i, j in itertools.product(*map(range, shape)):
        top, left = int(rows.starts[i]), int(columns.starts[j])
        window = (slice(top, top + rows.size), slice(left, left + columns.size))
        solution = restore(*(picture[window] for picture in measured))
        weights = rows.weights[i][:, None, None] * columns.weights[j][None, :, None]
        height, width = weights.shape[:2]
        scene[top : top + height, left : left + width] += weights * np.asarray(solution.value)
        status[i, j], steps[i, j] = int(solution.status), int(solution.steps)
    return Tiled(scene, status, steps)


def _extent(tiles: Axis) -> int:
    """Pixels of the whole scene."""
    return int(tiles.starts[-1]) + tiles.weights.shape[1]
