"""Which tiles a picture is restored in."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.fft import next_fast_len

from experiments.restore.pictures import BadInput
from unrolljax.imaging.tiles import Axis, axis

TILE, REACH = 512, 32
"""Pixels along a tile; pixels that tiles share, besides the point spread function's size."""

STRIDE = 8
"""The pixels that the pretrained denoiser takes together at its coarsest resolution."""


class Tiling(NamedTuple):
    """Tiles, and the kernel with zeros around it: its radius is the margin of their scenes."""

    rows: Axis
    columns: Axis
    kernel: Float[np.ndarray, "rows columns"] | None

    @property
    def count(self) -> int:
        """How many tiles there are."""
        return len(self.rows.starts) * len(self.columns.starts)


def tiling(shape: tuple[int, int], kernel: NDArray | None, size: int | None) -> Tiling:
    """Tiles over a picture of that height and width.

    - `kernel`: of odd size; None for no blur.
    - `size`: of a tile; by default `TILE`, or more where the kernel is large.

    Raises BadInput for tiles that would hardly move on.
    """
    extent = (1, 1) if kernel is None else kernel.shape
    overlap = max(extent) - 1 + REACH
    size = max(TILE, 2 * overlap) if size is None else size
    if size < min(2 * overlap, max(shape)):
        raise BadInput(f"--tile {size} is too small: neighbours share {overlap} pixels.")
    if kernel is None:
        rows, columns = (axis(n, size, overlap, stride=STRIDE) for n in shape)
        return Tiling(rows, columns, None)
    rows, columns = (
        _fast(n, size, overlap, k // 2) for n, k in zip(shape, kernel.shape, strict=True)
    )
    wider = [(_margin(a) - k // 2,) * 2 for a, k in zip((rows, columns), kernel.shape, strict=True)]
    return Tiling(rows, columns, np.pad(kernel, wider))


def _fast(length: int, size: int, overlap: int, margin: int) -> Axis:
    """Tiles with the least margin for which the scene's Fourier transform is fast."""
    tiles = axis(length, size, overlap, margin, STRIDE)
    scene = tiles.weights.shape[1]
    return tiles if next_fast_len(scene) == scene else _fast(length, size, overlap, margin + 1)


def _margin(tiles: Axis) -> int:
    return (tiles.weights.shape[1] - tiles.size) // 2
