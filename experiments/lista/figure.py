"""Thresholds and step sizes by layer, and the errors."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from experiments.lista.layers import Layers


def draw(path: Path, layers: Layers, results: dict[str, float]) -> None:
    """Write the figure as PNG; `results` are errors in dB by method."""
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    axes = figure.subplots(1, 3)
    axes[0].semilogy(np.exp(layers.log_threshold), marker=".")
    axes[1].plot(np.asarray(layers.step_size), marker=".")
    bars = axes[2].bar(list(results), list(results.values()))
    axes[2].bar_label(bars, fmt="%.1f")
    for axis, title in zip(axes, ("threshold", "step size", "held-out NMSE, dB"), strict=True):
        axis.set_title(title)
    for axis in axes[:2]:
        axis.set_xlabel("layer")
    figure.savefig(path, dpi=110)
