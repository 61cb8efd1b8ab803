"""One picture of the run: restorations with a window enlarged, PSNR by step, learned numbers."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from experiments.compressed_sensing.outcome import Gallery, scores
from unrolljax.sparse.networks import Network

SHOWN = ("truth", "back-projection", "linear", "FISTA,", "learned")
WINDOW = (slice(112, 176), slice(64, 128))


def draw(path: Path, gallery: Gallery, network: Network, title: str) -> None:
    """Write the figure as PNG."""
    shown = {n: p for n, p in gallery.pictures.items() if n.startswith(SHOWN)}
    figure = Figure(figsize=(2.5 * len(shown), 8.8), layout="constrained")
    figure.suptitle(title)
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(2, 1.05))[:, 0]
    places = above.subplots(2, len(shown))
    by_method = scores(gallery.pictures)
    stretch = _asinh(gallery.pictures["truth"])
    for (whole, part), (name, picture) in zip(places.T, shown.items(), strict=True):
        _picture(whole, stretch(picture))
        _mark(whole)
        score = by_method.get(name)
        line = f"{score['PSNR']:.2f} dB, SSIM {score['SSIM']:.3f}" if score else " "
        whole.set_title(f"{name}\n{line}", fontsize=10)
        _picture(part, stretch(picture[WINDOW]))
    curves, numbers = below.subplots(1, 2)
    _curves(curves, gallery, by_method)
    _numbers(numbers, network)
    figure.savefig(path, dpi=110)


def _asinh(truth: NDArray):
    """The stretch of astronomers: linear at the sky, logarithmic in the cores of sources."""
    sky, bright = np.percentile(truth, (1, 99.8))
    soft = 0.1 * (bright - sky)
    top = np.arcsinh((bright - sky) / soft)
    return lambda picture: np.clip(np.arcsinh((picture - sky) / soft) / top, 0, 1)


def _picture(axes: Axes, picture: NDArray) -> None:
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])


def _mark(axes: Axes) -> None:
    rows, columns = WINDOW
    corner, side = (columns.start, rows.start), rows.stop - rows.start
    axes.add_patch(Rectangle(corner, side, side, fill=False, color="orange"))


def _curves(axes: Axes, gallery: Gallery, by_method: dict[str, dict[str, float]]) -> None:
    for name, curve in gallery.curves.items():
        axes.plot(range(1, len(curve) + 1), curve, marker=".", label=name)
    for name, style in (("FISTA, converged", "--"), ("linear (Wiener)", ":")):
        axes.axhline(by_method[name]["PSNR"], color="gray", linestyle=style, label=name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="layer or iteration", ylabel="PSNR, dB", title="held-out crop")
    axes.legend(fontsize="small")


def _numbers(axes: Axes, network: Network) -> None:
    """The learned thresholds: of each band where there is one for each, by layer."""
    logs = getattr(network.layers, "log_threshold", None)
    values = np.exp(network.layers[0] if logs is None else logs)
    axes.set(xlabel="layer", title="learned thresholds" if logs is not None else "learned steps")
    if values.ndim == 1:
        axes.plot(range(1, len(values) + 1), values, marker=".")
        return
    extent = (0.5, len(values) + 0.5, -0.5, values.shape[1] - 0.5)
    image = axes.imshow(
        np.log10(values.T), aspect="auto", origin="lower", cmap="viridis", extent=extent
    )
    axes.set(ylabel="band of wavelets, coarse to fine")
    axes.figure.colorbar(image, ax=axes, label="log10 of threshold / mean move")
