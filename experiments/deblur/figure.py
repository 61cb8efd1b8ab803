"""One picture of the run: restorations with insets, weights, training, modes."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

mpl.use("Agg")
import matplotlib.pyplot as plt

from experiments.deblur.frame import BANDS
from experiments.deblur.modes import ModeCost

INSET = {"hubble": (slice(112, 176), slice(64, 128)), "camera": (slice(30, 94), slice(90, 154))}


def draw(
    path: Path,
    pictures: dict[str, dict[str, NDArray]],
    psnr: dict[str, dict[str, float]],
    weights: NDArray,
    curve: list[float],
    modes: dict[str, ModeCost],
) -> None:
    """Write the figure as PNG.

    `pictures[image][method]` are the restorations, "truth" and "observed" among them; `weights`
    has shape (scales, bands).
    """
    columns = list(next(iter(pictures.values())))
    rows = len(pictures) + 1
    figure = plt.figure(figsize=(3.1 * len(columns), 3.3 * rows), layout="constrained")
    grid = figure.add_gridspec(rows, 3 * len(columns))
    for row, (name, by_method) in enumerate(pictures.items()):
        for column, method in enumerate(columns):
            axes = figure.add_subplot(grid[row, 3 * column : 3 * column + 3])
            _picture(axes, by_method[method], by_method["truth"], INSET[name])
            label = f"\n{psnr[name][method]:.2f} dB" if method in psnr[name] else "\n"
            axes.set_title(method + label, fontsize=11)
            if column == 0:
                axes.set_ylabel(name, fontsize=12)
    width = len(columns)
    _weights(figure.add_subplot(grid[-1, :width]), weights)
    _curve(figure.add_subplot(grid[-1, width : 2 * width]), curve)
    _modes(figure.add_subplot(grid[-1, 2 * width :]), modes)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _picture(axes, image, truth, window) -> None:
    low, high = np.percentile(truth, (0.5, 99.7))

    def stretch(values):
        return np.clip((values - low) / (high - low), 0, 1) ** 0.6

    axes.imshow(stretch(image), cmap="gray", vmin=0, vmax=1)
    axes.set_xticks([])
    axes.set_yticks([])
    inset = axes.inset_axes((0.52, 0.0, 0.48, 0.48))
    inset.imshow(stretch(image[window]), cmap="gray", vmin=0, vmax=1)
    inset.set_xticks([])
    inset.set_yticks([])
    for spine in inset.spines.values():
        spine.set_edgecolor("orange")


def _weights(axes, weights: NDArray) -> None:
    scales, bands = weights.shape
    for k in range(scales):
        label = f"scale {2**k} pixel" + "s" * (k > 0)
        axes.bar(np.arange(bands) + 0.4 * (k - (scales - 1) / 2), weights[k], 0.38, label=label)
    axes.set_yscale("log")
    axes.set_xticks(range(bands), BANDS, rotation=40, ha="right", fontsize=8)
    axes.set_title("learned weights by scale and orientation", fontsize=11)
    axes.legend(fontsize=8)


def _curve(axes, curve: list[float]) -> None:
    axes.plot(curve, marker=".")
    axes.set_xlabel("hypergradient step")
    axes.set_ylabel("training PSNR (dB)")
    axes.set_title("training", fontsize=11)
    axes.grid(alpha=0.3)


def _modes(axes, modes: dict[str, ModeCost]) -> None:
    places, memory = np.arange(len(modes)), axes.twinx()
    seconds = axes.bar(places - 0.2, [m.seconds for m in modes.values()], 0.38, label="seconds")
    megabytes = memory.bar(
        places + 0.2, [m.megabytes for m in modes.values()], 0.38, color="tab:orange"
    )
    axes.bar_label(seconds, fmt="%.2g", fontsize=8)
    memory.bar_label(megabytes, fmt="%.0f", fontsize=8)
    axes.bar(0, 0, color="tab:orange", label="temporary MB")
    axes.set_yscale("log")
    memory.set_yscale("log")
    axes.set_xticks(places, list(modes))
    axes.set_title("one hypergradient in each mode", fontsize=11)
    axes.legend(fontsize=8)
