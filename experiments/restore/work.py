"""The restoration of a whole picture: channel by channel, tile by tile."""

import time
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.signal import fftconvolve
from tqdm import tqdm

from experiments.restore.measurement import Measurement
from experiments.restore.methods import restorer
from experiments.restore.tiling import Tiling
from unrolljax.core.solution import Solution
from unrolljax.imaging.tiles import Tiled, restore_tiles


class Restored(NamedTuple):
    """A restored picture in grey values, and how its solves ended.

    - `residual`: what the restoration would be measured as less what was, over the noise; NaN
      where nothing was seen.
    - `status`, `steps`: by channel and tile.
    """

    picture: Float[np.ndarray, "height width channels"]
    residual: Float[np.ndarray, "height width channels"]
    status: Int[np.ndarray, "channels rows columns"]
    steps: Int[np.ndarray, "channels rows columns"]
    seconds: float


def restored(measurement: Measurement, tiling: Tiling, method: str, denoiser: Any) -> Restored:
    """Restore in JAX's default precision, with a progress bar on a terminal."""
    began = time.perf_counter()
    channels = measurement.y.shape[2]
    with tqdm(total=channels * tiling.count, unit="tile", disable=None) as bar:
        found = [_channel(measurement, tiling, method, denoiser, k, bar) for k in range(channels)]
    scene = np.concatenate([tiled.scene for tiled in found], axis=2).astype(float)
    return Restored(
        _inside(scene, measurement.y.shape),
        _residual(scene, measurement, tiling.kernel),
        np.stack([tiled.status for tiled in found]),
        np.stack([tiled.steps for tiled in found]),
        time.perf_counter() - began,
    )


def _channel(
    measurement: Measurement, tiling: Tiling, method: str, denoiser: Any, k: int, bar: tqdm
) -> Tiled:
    dtype = jnp.zeros(()).dtype

    def array(number: Any) -> Any:
        return None if number is None else jnp.asarray(number, dtype)

    numbers = (tiling.kernel, measurement.noise[k], measurement.readout[k], measurement.peak)
    solve = restorer(method, denoiser, *map(array, numbers))

    def advance(*tile: Any) -> Solution:
        bar.update()
        return solve(*tile)

    deviation = np.where(measurement.seen, measurement.deviation, np.inf)
    pictures = (picture[..., k : k + 1].astype(dtype) for picture in (measurement.y, deviation))
    return restore_tiles(advance, tiling.rows, tiling.columns, *pictures)


def _residual(scene: NDArray, measurement: Measurement, kernel: NDArray | None) -> NDArray:
    kernel = np.ones((1, 1)) if kernel is None else kernel
    expected = fftconvolve(scene, kernel[..., None], mode="valid", axes=(0, 1))
    normal = (expected - measurement.y) / measurement.deviation
    return np.where(measurement.seen, normal, np.nan)


def _inside(scene: NDArray, shape: tuple[int, ...]) -> NDArray:
    """The scene without its margins."""
    top, left = ((n - m) // 2 for n, m in zip(scene.shape[:2], shape[:2], strict=True))
    return scene[top : top + shape[0], left : left + shape[1]]
