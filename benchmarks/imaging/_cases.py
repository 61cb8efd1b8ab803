"""The test pictures and their measurements: the project ships none of them."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import skimage.data
import skimage.io
from numpy.typing import NDArray

from unrolljax.imaging.training.images import grey

DATA = Path(os.environ.get("UNROLLJAX_DATA", Path(__file__).parents[3] / "shared" / "data"))
SET6 = (
    "set12/01.png", "set12/02.png", "set12/05.png",
    "set3c/butterfly.png", "set3c/leaves.png", "set3c/starfish.png",
)  # fmt: skip
HUBBLE = (slice(310, 566), slice(420, 676))
LUMA = np.asarray([0.299, 0.587, 0.114], np.float32)


class Case(NamedTuple):
    """Pictures (images, height, width), what was measured of them by one kernel, and the noise."""

    name: str
    truth: NDArray
    kernel: NDArray
    y: NDArray
    noise: float


def blurred_set6() -> list[Case]:
    """Six grey pictures under a Gaussian of width 1.6 and Levin's kernels 2 and 4.

    Raises FileNotFoundError where the data are not here.
    """
    folder = DATA / "imaging"
    truth = np.stack([_grey(folder / name) for name in SET6])
    levin = np.load(folder / "levin09.npz")
    return [
        _observe("Set6, Gaussian 1.6, 2.55", truth, gaussian(1.6), 2.55),
        _observe("Set6, Levin 2, 2.55", truth, levin["k2"], 2.55),
        _observe("Set6, Levin 4, 7.65", truth, levin["k4"], 7.65),
    ]


def blurred_hubble() -> Case:
    """A crop of the Hubble deep field that is not in any training set."""
    return _observe("Hubble, Gaussian 2, 2.55", _hubble()[None], gaussian(2.0), 2.55)


def gaussian(width: float, size: int = 25) -> NDArray:
    """A Gaussian kernel of unit sum."""
    ticks = np.arange(size) - size // 2
    profile = np.exp(-(ticks**2) / (2 * width**2))
    kernel = np.outer(profile, profile)
    return kernel / kernel.sum()


def _hubble() -> NDArray:
    return grey("hubble_deep_field")[HUBBLE]


def _observe(name: str, truth: NDArray, kernel: NDArray, noise: float) -> Case:
    """Circular blur, then white noise of that deviation (of 255)."""
    kernel = np.asarray(kernel / kernel.sum(), np.float32)
    rows, columns = kernel.shape
    padded = np.zeros(truth.shape[1:])
    padded[:rows, :columns] = kernel
    transfer = np.fft.rfft2(np.roll(padded, (-(rows // 2), -(columns // 2)), (0, 1)))
    blurred = np.fft.irfft2(transfer * np.fft.rfft2(truth), truth.shape[1:])
    drawn = np.random.default_rng(0).standard_normal(truth.shape)
    y = np.asarray(blurred + noise / 255 * drawn, np.float32)
    return Case(name, truth, kernel, y, noise / 255)


def _grey(path: Path) -> NDArray:
    picture = np.asarray(skimage.io.imread(path), np.float32) / 255
    return picture if picture.ndim == 2 else picture[..., :3] @ LUMA
