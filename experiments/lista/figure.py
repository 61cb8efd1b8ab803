"""Errors by layer, away from training, and the numbers that were learned."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments.lista.outcome import Shift
from unrolljax.sparse.networks import Network


def draw(path: Path, curves: dict[str, list[float]], shift: Shift, network: Network) -> None:
    """Write the figure as PNG."""
    figure = Figure(figsize=(13, 3.8), layout="constrained")
    by_layer, heat, numbers = figure.subplots(1, 3)
    for name, errors in curves.items():
        by_layer.plot(range(1, len(errors) + 1), errors, marker=".", label=name)
    by_layer.set(xlabel="layer or iteration", title="NMSE on held-out codes, dB")
    by_layer.xaxis.set_major_locator(MaxNLocator(integer=True))
    by_layer.legend()
    _heat(heat, shift)
    _numbers(numbers, network)
    figure.savefig(path, dpi=120)


def _heat(axes: Axes, shift: Shift) -> None:
    image = axes.imshow(shift.error, cmap="viridis_r", aspect="auto", origin="lower")
    middle = (shift.error.min() + shift.error.max()) / 2
    for (row, column), error in np.ndenumerate(shift.error):
        color = "black" if error < middle else "white"
        axes.text(column, row, f"{error:.0f}", ha="center", va="center", color=color)
    axes.set_xticks(range(len(shift.probability)), [f"{p:g}" for p in shift.probability])
    axes.set_yticks(range(len(shift.snr)), ["none" if np.isinf(s) else f"{s:g}" for s in shift.snr])
    axes.set(xlabel="share of entries not zero", ylabel="SNR, dB", title="NMSE elsewhere, dB")
    axes.figure.colorbar(image, ax=axes)


def _numbers(axes: Axes, network: Network) -> None:
    """Scalars by layer; of matrices their distance from the first layer's."""
    for name, values in zip(network.layers._fields, network.layers, strict=True):
        if values is None:
            continue
        values = np.asarray(values)
        if values.ndim == 1:
            label = name.removeprefix("log_")
            axes.plot(np.exp(values) if name != label else values, marker=".", label=label)
        else:
            size = np.linalg.norm(values[0])
            moved = [np.linalg.norm(layer - values[0]) / size for layer in values[1:]]
            axes.plot(range(1, len(values)), moved, label=f"{name}, change from layer 0")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="layer", title="learned numbers")
    axes.legend(fontsize="small")
