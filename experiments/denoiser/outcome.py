"""How well a denoiser does on a picture that it has not seen, and what that looks like."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio
from skimage.restoration import denoise_tv_chambolle

from unrolljax.imaging.denoisers.learned import Learned
from unrolljax.imaging.training.images import grey

LEVELS = (5, 15, 25, 50)
"""Standard deviations, of 255."""

SHOWN, WINDOW = 25, (slice(30, 158), slice(70, 198))


def psnr(denoiser: Learned) -> dict[str, dict[str, float]]:
    """PSNR in dB on the halved cameraman: noisy, by total variation tuned on it, learned."""
    truth = camera()
    found = {}
    for level in LEVELS:
        pictures = {"noisy": noisy(truth, level)}
        pictures["TV"] = _by_tv(pictures["noisy"], truth, level)
        pictures["learned"] = denoised(denoiser, pictures["noisy"], level)
        found[f"sigma {level}"] = {name: score(truth, x) for name, x in pictures.items()}
    return found


def draw(path: Path, denoiser: Learned, losses: Sequence[float]) -> None:
    """Write a figure: a detail without noise, with it and denoised, and the loss as it fell."""
    truth = camera()
    seen = noisy(truth, SHOWN)
    pictures = {
        "truth": truth,
        f"noise {SHOWN}/255": seen,
        "total variation": _by_tv(seen, truth, SHOWN),
        "learned": denoised(denoiser, seen, SHOWN),
    }
    figure = Figure(figsize=(15, 3.4), layout="constrained")
    panels: Any = figure.subplots(1, 5)
    for axes, (name, picture) in zip(panels, pictures.items(), strict=False):
        axes.imshow(picture[WINDOW], cmap="gray", vmin=0, vmax=1)
        decibels = "" if name == "truth" else f", {score(truth, picture):.2f} dB"
        axes.set(title=name + decibels, xticks=[], yticks=[])
    _losses(panels[-1], np.asarray(losses))
    figure.savefig(path, dpi=120)


def camera() -> NDArray:
    """The cameraman, 256 x 256."""
    return grey("camera").reshape(256, 2, 256, 2).mean((1, 3))


def noisy(truth: NDArray, level: float) -> NDArray:
    """With white Gaussian noise."""
    return truth + level / 255 * np.random.default_rng(0).standard_normal(truth.shape)


def denoised(denoiser: Learned, image: NDArray, level: float) -> NDArray:
    """What the network makes of it."""
    dtype = jax.tree.leaves(denoiser.parameters)[0].dtype
    found = jax.jit(lambda d, x: d(x, level / 255))(denoiser, image[..., None].astype(dtype))
    return np.asarray(found, float)[..., 0]


def score(truth: NDArray, image: NDArray) -> float:
    """PSNR in dB (scikit-image's)."""
    return float(peak_signal_noise_ratio(truth, image, data_range=1))


def _by_tv(image: NDArray, truth: NDArray, level: float) -> NDArray:
    """The best of several weights, chosen with the truth."""
    tried = [
        denoise_tv_chambolle(image, level / 255 * factor) for factor in (0.4, 0.6, 0.8, 1, 1.3)
    ]
    return max(tried, key=lambda x: score(truth, x))


def _losses(axes, losses: NDArray) -> None:
    width = max(1, len(losses) // 200)
    means = losses[: len(losses) // width * width].reshape(-1, width).mean(1)
    axes.plot(width * np.arange(1, len(means) + 1), means)
    axes.set(title="training loss", xlabel="step", yscale="log")
    axes.grid(alpha=0.3, which="both")
