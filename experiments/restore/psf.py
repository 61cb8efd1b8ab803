"""Point spread functions and masks in files."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy.ndimage import center_of_mass, zoom

from experiments.restore.pictures import FITS, NUMPY, PLAIN, BadInput, read_array

FINER = 8
"""Points along a pixel, by which a width is measured."""


class Psf(NamedTuple):
    """A kernel of odd size that sums to one, and what is told of it, in pixels.

    - `width`: full width at half maximum, of the disc that is as large as what exceeds the half.
    - `offset`: of its centre of mass from its middle pixel, by which a restoration is displaced.
    """

    kernel: Float[np.ndarray, "rows columns"]
    width: float
    offset: tuple[float, float]


def read_psf(path: Path, picture: tuple[int, int]) -> Psf:
    """The point spread function for a picture of that height and width.

    An even size gets a row or column of zeros after the last one. Raises BadInput where there are
    not two axes, for values that are negative or no numbers, none above zero, or too large a size.
    """
    kernel = _plane(path)
    if kernel.shape[0] > picture[0] or kernel.shape[1] > picture[1]:
        raise BadInput(
            f"{path} of {_told(kernel.shape)} pixels is larger than the picture of "
            f"{_told(picture)}: crop it."
        )
    if not np.all(np.isfinite(kernel)):
        raise BadInput(f"{path} holds {np.sum(~np.isfinite(kernel))} values that are no numbers.")
    if kernel.min() < 0:
        raise BadInput(
            f"{path} is negative in places, {kernel.min():.3g} at least: subtract its background "
            "and set to zero what is still below."
        )
    if kernel.max() == 0:
        raise BadInput(f"{path} is zero everywhere.")
    kernel = np.pad(kernel, [(0, 1 - n % 2) for n in kernel.shape])
    return _described(kernel / kernel.sum())


def read_mask(path: Path, picture: tuple[int, int]) -> Bool[np.ndarray, "height width"]:
    """The pixels to ignore: those that are not zero; BadInput for another size than the picture."""
    mask = _plane(path)
    if mask.shape != picture:
        raise BadInput(
            f"{path} of {_told(mask.shape)} pixels must be as large as the picture, "
            f"{_told(picture)}."
        )
    return mask != 0


def _plane(path: Path) -> NDArray:
    """The two-dimensional array of a file, as floats; axes of length one are dropped."""
    array = np.squeeze(read_array(path, (*NUMPY, *FITS, *PLAIN)))
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        raise BadInput(f"{path} of {_told(array.shape)} {array.dtype} values must be one plane.")
    return array.astype(float)


def _described(kernel: NDArray) -> Psf:
    fine: Any = zoom(kernel, FINER, order=3, mode="grid-constant", grid_mode=True)
    area = np.sum(fine >= fine.max() / 2) / FINER**2
    middle = [n // 2 for n in kernel.shape]
    row, column = np.subtract(center_of_mass(kernel), middle)
    return Psf(kernel, float(2 * np.sqrt(area / np.pi)), (float(row), float(column)))


def _told(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
