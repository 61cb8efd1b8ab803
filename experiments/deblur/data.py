"""Images of the scikit-image wheel, and what a telescope would make of them."""

import numpy as np
import skimage.color
import skimage.data
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from experiments.deblur.problem import Observation

HELD_OUT_HUBBLE = (slice(310, 566), slice(420, 676))
HUBBLE_CORNERS = ((40, 80), (60, 500), (700, 300), (720, 700))


def held_out() -> dict[str, NDArray]:
    """The test images, 256 x 256: a crop of the Hubble deep field, and the cameraman halved."""
    camera = _grey(skimage.data.camera()).reshape(256, 2, 256, 2).mean((1, 3))
    return {"hubble": _grey(skimage.data.hubble_deep_field())[HELD_OUT_HUBBLE], "camera": camera}


def training(size: int) -> NDArray:
    """Square crops of other images and of other regions of the Hubble deep field."""
    hubble = _grey(skimage.data.hubble_deep_field())
    crops = [hubble[row : row + size, column : column + size] for row, column in HUBBLE_CORNERS]
    moon = _grey(skimage.data.moon())[200 : 200 + size, 150 : 150 + size]
    astronaut = _grey(skimage.data.astronaut())[40 : 40 + size, 150 : 150 + size]
    return np.stack([*crops, moon, astronaut])


def moffat(size: int, width: float, beta: float) -> NDArray:
    """The Moffat point spread function of a given full width at half maximum (Moffat 1969).

    Centred on the corner pixel, periodic, with unit sum.
    """
    core = width / (2 * np.sqrt(2 ** (1 / beta) - 1))
    ticks = np.fft.fftfreq(size, 1 / size)
    profile = (1 + (ticks[:, None] ** 2 + ticks**2) / core**2) ** -beta
    return profile / profile.sum()


def observe(
    images: NDArray, sigma: NDArray, missing: float, width: float, seed: int
) -> Observation:
    """Blur, add Gaussian noise of each image's own level, and lose some pixels."""
    random = np.random.default_rng(seed)
    transfer = np.fft.rfft2(moffat(images.shape[-1], width, beta=3.0))
    blurred = np.fft.irfft2(np.fft.rfft2(images) * transfer, s=images.shape[-2:])
    noisy = blurred + sigma[:, None, None] * random.standard_normal(images.shape)
    valid = random.random(images.shape) >= missing
    smooth = gaussian_filter(fill(noisy * valid, valid), (0, 1, 1), mode="wrap")
    brightness = np.maximum(smooth, 0)
    return Observation(noisy * valid, valid.astype(float), transfer, sigma, brightness)  # pyright: ignore


def fill(images: NDArray, valid: NDArray) -> NDArray:
    """Images whose missing pixels are replaced by a Gaussian mean of their neighbours."""
    near, share = (gaussian_filter(np.asarray(v, float), (0, 1, 1)) for v in (images, valid))
    return np.where(valid > 0, images, near / np.maximum(share, 1e-3))


def _grey(image: NDArray) -> NDArray:
    image = image / 255.0
    return skimage.color.rgb2gray(image[..., :3]) if image.ndim == 3 else image
