"""Atoms before and after, the error as it falls, and codes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from unrolljax.lab.experiment import Line


def draw(
    path: Path,
    dictionaries: dict[str, NDArray],
    codes: dict[str, NDArray],
    lines: Sequence[Line],
    errors: dict[str, float],
) -> None:
    """Write the figure as PNG.

    - `dictionaries`: (features, atoms) by name; `codes`: of one image of each digit, by name.
    - `lines`: of the metrics; `errors`: on test images, per cent, by method.
    """
    figure = Figure(figsize=(11, 6.6), layout="constrained")
    figures: Any = figure.subfigures(1, 2, width_ratios=(1, 1.25))
    atoms, rest = figures
    panels = atoms.subplots(2, 1)
    changed = _most_changed(dictionaries)
    for axis, (name, dictionary) in zip(panels, dictionaries.items(), strict=True):
        axis.imshow(_mosaic(dictionary[:, changed]), cmap="gray", vmin=-1, vmax=1)
        axis.set(title=f"atoms, {name}", xticks=[], yticks=[])
    panels = rest.subplots(3, 1, height_ratios=(1.5, 1, 1))
    _errors(panels[0], lines, errors)
    for axis, (name, values) in zip(panels[1:], codes.items(), strict=True):
        limit = np.abs(values).max()
        picture = axis.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
        axis.set(title=f"codes, {name}", ylabel="digit", yticks=(0, 3, 6, 9))
        figure.colorbar(picture, ax=axis)
    panels[-1].set_xlabel("atom")
    figure.savefig(path, dpi=130)


def _errors(axis: Axes, lines: Sequence[Line], errors: dict[str, float]) -> None:
    tests = [line for line in lines if "evaluation/error" in line]
    axis.plot([v["step"] for v in tests], [v["evaluation/error"] for v in tests], label="learned")
    for style, (name, error) in zip((":", "--", "-."), errors.items(), strict=False):
        axis.axhline(error, color="0.4", linestyle=style, label=name)
    axis.set(xlabel="iteration", title="test error, %", ylim=(0, None))
    axis.legend(ncols=2, fontsize="small")


def _most_changed(dictionaries: dict[str, NDArray], count: int = 50) -> NDArray:
    """The atoms that moved most, the same places in both."""
    before, after = dictionaries.values()
    return np.argsort(-np.linalg.norm(after - before, axis=0))[:count]


def _mosaic(atoms: NDArray, columns: int = 10) -> NDArray:
    """Square atoms side by side, each scaled to a largest entry of 1."""
    side = round(float(np.sqrt(len(atoms))))
    rows = -(-atoms.shape[1] // columns)
    canvas = np.ones((rows * (side + 1) + 1, columns * (side + 1) + 1))
    for place, atom in enumerate(atoms.T):
        y, x = (1 + (side + 1) * k for k in divmod(place, columns))
        canvas[y : y + side, x : x + side] = atom.reshape(side, side) / np.abs(atom).max()
    return canvas
