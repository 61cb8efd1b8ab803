"""What everybody would try first, after filling the holes: Wiener and Richardson-Lucy."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from skimage.restoration import richardson_lucy, wiener

from experiments.deblur.data import moffat

BORDER = 24
WIENER_BALANCES = (0.003, 0.01, 0.03, 0.1, 0.3)
LUCY_ITERATIONS = (5, 10, 15, 20, 30, 50)

Method = Callable[[NDArray, float], NDArray]


def methods(width: float) -> dict[str, tuple[Method, tuple[float, ...]]]:
    """Each method with the values of its one parameter to choose from."""
    # An even kernel would shift the image by half a pixel.
    kernel = np.fft.fftshift(moffat(2 * BORDER + 1, width, beta=3.0))

    def by_wiener(image, balance) -> Any:
        return wiener(image, kernel, balance, clip=False)

    def by_lucy(image, iterations):
        padded = np.pad(np.maximum(image, 1e-4), BORDER, mode="wrap")
        restored = richardson_lucy(padded, kernel, int(iterations), clip=False)
        return restored[BORDER:-BORDER, BORDER:-BORDER]

    return {
        "Wiener": (by_wiener, WIENER_BALANCES),
        "Richardson-Lucy": (by_lucy, LUCY_ITERATIONS),
    }


def tune(method: Method, values: tuple[float, ...], images: NDArray, truth: NDArray) -> float:
    """The parameter value with the best mean PSNR on training images."""
    pairs = list(zip(images, truth, strict=True))
    return max(
        values, key=lambda v: np.mean([scores(method(i, v), t)["PSNR dB"] for i, t in pairs])
    )


def scores(image: NDArray, truth: NDArray) -> dict[str, float]:
    """PSNR in dB and SSIM (scikit-image's), for values in [0, 1]."""
    image = np.asarray(image, float)
    ratio = peak_signal_noise_ratio(truth, image, data_range=1)
    similarity: Any = structural_similarity(truth, image, data_range=1)
    return {"PSNR dB": float(ratio), "SSIM": float(similarity)}
