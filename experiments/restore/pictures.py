"""Pictures in files: PNG, TIFF and FITS, read into one layout and written as they were."""

from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import skimage.io
from jaxtyping import Float
from numpy.typing import NDArray

FITS, PLAIN, NUMPY = (".fits", ".fit", ".fts"), (".png", ".tif", ".tiff"), (".npy",)
SMALLEST = 8


class BadInput(Exception):
    """What was asked for cannot be done; the message says why, in a sentence."""


class Picture(NamedTuple):
    """A picture, and what its file looked like.

    - `values`: in the units of the file; NaN and infinite where the file says so.
    - `stored`: the file's array, as read; planes come first in FITS, last in PNG and TIFF.
    """

    path: Path
    values: Float[np.ndarray, "height width channels"]
    stored: NDArray

    @property
    def in_planes(self) -> bool:
        """Whether channels come first in the file."""
        return self.path.suffix.lower() in FITS


def read(path: Path) -> Picture:
    """A grey or colour picture; of FITS the first image, each plane of which is a channel.

    Raises BadInput for anything else, alpha channels and stacks of TIFF among it.
    """
    stored = read_array(path, (*PLAIN, *FITS))
    if stored.dtype.kind not in "iuf":
        raise BadInput(f"{path} holds {stored.dtype} values, not grey values.")
    if path.suffix.lower() in FITS:
        values = np.moveaxis(stored.reshape(-1, *stored.shape[-2:]), 0, -1)
    else:
        values = np.atleast_3d(stored)
        _check_channels(path, stored)
    if min(values.shape[:2]) < SMALLEST:
        raise BadInput(f"{path} of {_told(stored)} pixels is too small: {SMALLEST} are needed.")
    return Picture(path, values.astype(float), stored)


def write(
    path: Path, values: Float[np.ndarray, "height width channels"], like: Picture, history: str
) -> None:
    """A picture in the format, dtype and layout of another one's file.

    Integers are rounded and clipped to their range, what is no number becomes zero. FITS keeps all
    headers and the other extensions, and gets a line of history.
    """
    kind = like.stored.dtype
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        values = np.clip(np.rint(np.nan_to_num(values)), limits.min, limits.max)
    values = np.moveaxis(values, -1, 0) if like.in_planes else values
    array = values.reshape(like.stored.shape).astype(kind.newbyteorder("="))
    if like.in_planes:
        _write_fits(path, array, like.path, history)
    else:
        skimage.io.imsave(path, array, check_contrast=False)


def read_array(path: Path, suffixes: tuple[str, ...]) -> NDArray:
    """The array of a file of one of these kinds; BadInput, naming the file, where there is none."""
    suffix = path.suffix.lower()
    if suffix not in suffixes:
        raise BadInput(f"{path}: its suffix must be one of {', '.join(suffixes)}.")
    if not path.is_file():
        raise BadInput(f"{path} is no file.")
    try:
        if suffix in NUMPY:
            return np.load(path)
        return _read_fits(path) if suffix in FITS else _read_plain(path)
    except BadInput:
        raise
    except Exception as error:  # each library has errors of its own
        told = str(error).partition("\n")[0]
        raise BadInput(f"{path} cannot be read: {told or type(error).__name__}") from error


def _read_plain(path: Path) -> NDArray:
    with path.open("rb") as file:
        head = file.read(25)
    png = path.suffix.lower() == ".png"
    if png and not head.startswith(b"\x89PNG"):
        raise BadInput(f"{path} is no PNG.")
    array = skimage.io.imread(path)
    if png and head[24] == 16 and array.itemsize == 1:
        raise BadInput(f"{path} is a 16-bit colour PNG, of which only 8 are read: save it as TIFF.")
    return array


def _check_channels(path: Path, stored: NDArray) -> None:
    if stored.ndim == 3 and stored.shape[-1] in (2, 4):
        raise BadInput(f"{path} has an alpha channel: flatten it, or save it without.")
    if stored.ndim != 2 and not (stored.ndim == 3 and stored.shape[-1] == 3):
        raise BadInput(
            f"{path} of {_told(stored)} values is neither a grey picture nor one in three colours."
        )


def _fits() -> ModuleType:
    try:
        from astropy.io import fits
    except ImportError:
        raise BadInput(
            "FITS files are read by astropy, which is not installed: pip install 'unrolljax[fits]'."
        ) from None
    return fits


def _read_fits(path: Path) -> NDArray:
    with _fits().open(path) as units:
        found = _first_image(units)
        if found is None:
            raise BadInput(f"{path} holds no image.")
        array = np.array(found.data)
    return array.astype(array.dtype.newbyteorder("="))


def _write_fits(path: Path, array: NDArray, source: Path, history: str) -> None:
    with _fits().open(source) as units:
        unit = _first_image(units)
        unit.data = array
        for stale in ("CHECKSUM", "DATASUM"):
            unit.header.remove(stale, ignore_missing=True)
        unit.header.add_history(history.encode("ascii", "replace").decode())
        units.writeto(path, overwrite=True)


def _first_image(units: Any) -> Any:
    """The first extension that holds an image of two axes or more; None where there is none."""
    return next((u for u in units if u.is_image and u.data is not None and u.data.ndim > 1), None)


def _told(array: NDArray) -> str:
    return " x ".join(map(str, array.shape))
