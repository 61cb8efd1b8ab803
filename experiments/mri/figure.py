"""One picture of the run: mask, restorations with a window enlarged, their errors, the losses."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.mri.outcome import Gallery
from unrolljax.lab.experiment import Line

WINDOW = (0.12, 0.37, 0.35, 0.6)
"""First and last row, first and last column of what is enlarged, over the size."""

WORST = 0.15
"""The error that is drawn white, in grey values."""


def draw(
    path: Path, gallery: Gallery, scores: dict[str, dict[str, float]], lines: list[Line]
) -> None:
    """Write the figure as PNG."""
    pictures = gallery.pictures
    truth = pictures["truth"]
    figure = Figure(figsize=(2.5 * (1 + len(pictures)), 5.6), layout="constrained")
    places: Any = figure.subplots(2, 1 + len(pictures))
    _image(places[0, 0], np.fft.fftshift(gallery.mask), 0, 1)
    places[0, 0].set_title(f"mask: {gallery.mask.mean():.0%} of the\nfrequencies", fontsize=10)
    _losses(places[1, 0], lines)
    _image(places[1, 1], np.fft.fftshift(np.log(np.abs(np.fft.fft2(truth)) + 1e-3)), -2, 6)
    places[1, 1].set_title("frequencies, log", fontsize=10)
    for (above, below), (name, picture) in zip(places.T[1:], pictures.items(), strict=True):
        _image(above, picture, 0, 1)
        _enlarged(above, picture)
        score = scores.get(name)
        line = f"{score['PSNR dB']:.2f} dB, SSIM {score['SSIM']:.3f}" if score else " "
        above.set_title(f"{name}\n{line}", fontsize=10)
        if score:
            _image(below, np.abs(picture - truth), 0, WORST, "magma")
            below.set_title(f"error, 0 to {WORST}", fontsize=10)
    figure.savefig(path, dpi=110)


def _image(axes: Axes, image: NDArray, low: float, high: float, colours: str = "gray") -> None:
    axes.imshow(image, cmap=colours, vmin=low, vmax=high, interpolation="nearest")
    axes.set(xticks=[], yticks=[])


def _enlarged(axes: Axes, picture: NDArray) -> None:
    top, bottom, left, right = (round(part * len(picture)) for part in WINDOW)
    inset = axes.inset_axes((0.5, 0, 0.5, 0.5))
    _image(inset, picture[top:bottom, left:right], 0, 1)
    for spine in inset.spines.values():
        spine.set_color("orange")


def _losses(axes: Axes, lines: list[Line]) -> None:
    for name, label in (("loss", "training"), ("evaluation/loss", "held out")):
        found = [(line["step"], line[name]) for line in lines if name in line]
        axes.plot(*np.asarray(found).T, label=label, linewidth=1)
    axes.set(title="loss", xlabel="step")
    axes.legend(fontsize="small")
