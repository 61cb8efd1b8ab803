"""MNIST (LeCun, Cortes & Burges 1998), downloaded once and kept in the user's cache."""

import gzip
from typing import NamedTuple

import numpy as np
import pooch
from numpy.typing import NDArray

URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
SHA256 = {
    "train-images-idx3-ubyte.gz": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
    ),
    "train-labels-idx1-ubyte.gz": (
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
    ),
    "t10k-images-idx3-ubyte.gz": (
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
    ),
}


class Digits(NamedTuple):
    """Images, one a row, with grey values in [0, 1], and the digits that they show."""

    images: NDArray[np.float64]
    labels: NDArray[np.int32]

    def take(self, rows: NDArray[np.intp]) -> "Digits":
        """Some of them."""
        return Digits(self.images[rows], self.labels[rows])


def training() -> Digits:
    """The 60,000 training images."""
    return Digits(_images("train-images-idx3-ubyte.gz"), _labels("train-labels-idx1-ubyte.gz"))


def test() -> Digits:
    """The 10,000 test images."""
    return Digits(_images("t10k-images-idx3-ubyte.gz"), _labels("t10k-labels-idx1-ubyte.gz"))


def _images(name: str) -> NDArray[np.float64]:
    return _read(name, header=16).reshape(-1, 28 * 28) / 255


def _labels(name: str) -> NDArray[np.int32]:
    return _read(name, header=8).astype(np.int32)


def _read(name: str, header: int) -> NDArray[np.uint8]:
    """The bytes of an idx file after its header."""
    files = pooch.create(pooch.os_cache("unrolljax"), URL, registry=SHA256)
    try:
        path = files.fetch(name)
    except OSError as error:
        raise OSError(
            f"data=mnist could not be downloaded ({type(error).__name__}): put {name} from {URL} "
            f"into {files.path}, or set data=digits, which needs no download."
        ) from None
    with gzip.open(path) as file:
        return np.frombuffer(file.read(), np.uint8, offset=header)
