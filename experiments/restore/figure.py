"""The measured picture, the restored one and the residual, side by side."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

SHOWN, INSET = 1000, 0.15
"""Pixels along a picture that are drawn; the share of its sides that the inset enlarges."""


def draw(path: Path, measured: NDArray, restored: NDArray, residual: NDArray) -> None:
    """Write the figure as PNG; all are (height, width, channels), in grey values and deviations."""
    low, high = np.percentile(measured, (0.5, 99.8), axis=(0, 1))
    window = _busiest(restored)
    figure = Figure(figsize=(15, 5.6), layout="constrained")
    panels: Any = figure.subplots(1, 3)
    for axes, name, picture in zip(
        panels[:2], ("measured", "restored"), (measured, restored), strict=True
    ):
        shown = _visible(np.clip((picture - low) / np.maximum(high - low, 1e-12), 0, 1))
        _panel(axes, shown, window, {"cmap": "gray", "vmin": 0, "vmax": 1})
        axes.set_title(name)
    normal = residual.mean(2) * np.sqrt(residual.shape[2])
    drawn = _panel(panels[2], normal, window, {"cmap": "RdBu", "vmin": -4, "vmax": 4})
    panels[2].set_title("(restored, measured again - measured) / noise")
    figure.colorbar(drawn, ax=panels[2], shrink=0.8)
    figure.savefig(path, dpi=110)


def _panel(axes, picture: NDArray, window: tuple[slice, slice], style: dict[str, Any]) -> Any:
    """A picture, and a window of it enlarged."""
    height, width = picture.shape[:2]
    step = -(-max(height, width) // SHOWN)
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    drawn = axes.imshow(picture[::step, ::step], extent=extent, interpolation="nearest", **style)
    inset = axes.inset_axes((0.55, 0.0, 0.45, 0.45))
    inset.imshow(picture[window], interpolation="nearest", **style)
    top, left = (part.start for part in window)
    size = window[1].stop - left, window[0].stop - top
    axes.add_patch(Rectangle((left, top), *size, fill=False, edgecolor="orange"))
    for place in (axes, inset):
        place.set(xticks=[], yticks=[])
    for spine in inset.spines.values():
        spine.set_edgecolor("orange")
    return drawn


def _visible(picture: NDArray) -> NDArray:
    """Three channels are colours, others are averaged."""
    return picture if picture.shape[2] == 3 else picture.mean(2)


def _busiest(picture: NDArray) -> tuple[slice, slice]:
    """The window, of a fixed grid of them, in which neighbours differ most."""
    height, width = (max(4, round(INSET * n)) for n in picture.shape[:2])
    windows = [
        (slice(top, top + height), slice(left, left + width))
        for top in range(0, picture.shape[0] - height + 1, height)
        for left in range(0, picture.shape[1] - width + 1, width)
    ]
    change = np.abs(np.diff(picture, axis=0)).sum(2)
    return max(windows, key=lambda window: np.nan_to_num(change[window].mean()))
