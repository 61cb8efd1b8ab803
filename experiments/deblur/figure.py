"""One picture of the run: restorations with a detail enlarged, their errors, and the training."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from unrolljax.lab.experiment import Line

DETAIL = (slice(112, 176), slice(64, 128))
WORST = 0.1
"""The error that is drawn in full colour, in grey values."""


def draw(
    path: Path,
    pictures: dict[str, NDArray],
    scores: dict[str, dict[str, float]],
    lines: list[Line],
) -> None:
    """Write the figure as PNG; `pictures` by method, "truth" first."""
    figure = Figure(figsize=(3 * len(pictures), 9.6), layout="constrained")
    places: Any = figure.subplots(3, len(pictures))
    truth, stretch = pictures["truth"], asinh(pictures["truth"])
    for (whole, detail, error), (name, picture) in zip(places.T, pictures.items(), strict=True):
        _image(whole, stretch(picture), "gray", 0, 1)
        _image(detail, stretch(picture[DETAIL]), "gray", 0, 1)
        score = scores.get(name)
        if score:
            _image(error, picture - truth, "RdBu_r", -WORST, WORST)
        line = f"{score['PSNR dB']:.2f} dB, SSIM {score['SSIM']:.3f}" if score else " "
        whole.set_title(f"{name}\n{line}", fontsize=11)
    places[2, 1].set_ylabel(f"error, from {-WORST} to {WORST}")
    _training(places[2, 0], lines)
    figure.savefig(path, dpi=100)


def asinh(truth: NDArray):
    """The stretch of astronomers: linear at the sky, logarithmic in the cores of sources."""
    sky, bright = np.percentile(truth, (1, 99.8))
    soft = 0.1 * (bright - sky)
    top = np.arcsinh((bright - sky) / soft)
    return lambda picture: np.clip(np.arcsinh((picture - sky) / soft) / top, 0, 1)


def _image(axes: Axes, image: NDArray, colours: str, low: float, high: float) -> None:
    axes.imshow(image, cmap=colours, vmin=low, vmax=high, interpolation="nearest")
    axes.set(xticks=[], yticks=[])


def _training(axes: Axes, lines: list[Line]) -> None:
    """The losses on drawn skies: of every step, and of the skies that are held out."""
    curves = (("fixed", "fixed point", "tab:blue"), ("layers", "layers", "tab:orange"))
    for name, label, colour in curves:
        for prefix, style in (
            ("", {"alpha": 0.3}),
            ("evaluation/", {"marker": ".", "label": label}),
        ):
            found = [(line["step"], line[prefix + name]) for line in lines if prefix + name in line]
            if found:
                axes.plot(*np.asarray(found).T, color=colour, **style)  # pyright: ignore
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(title="training: loss on drawn skies, dB", xlabel="step")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
