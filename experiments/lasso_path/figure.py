"""The searches on the losses that they descend, and the three models."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from experiments.lasso_path.search import Surface
from unrolljax.lab.experiment import Line
from unrolljax.sparse.model_selection import Found


def draw(
    path: Path,
    common: Found,
    curve: Surface,
    both: Found,
    surface: Surface,
    lines: Sequence[Line],
    rows: Mapping[str, Mapping[str, float]],
) -> None:
    """Write the figure as PNG."""
    figure = Figure(figsize=(12, 3.5), layout="constrained")
    one, two, each = figure.subplots(1, 3)
    _one_penalty(one, common, curve)
    _two_penalties(figure, two, both, surface)
    each.plot([line["step"] for line in lines], [line["loss"] for line in lines], color="C0")
    for name, colour in (("lasso", "0.5"), ("elastic net", "C2")):
        loss = rows[name]["validation loss"]
        each.axhline(loss, color=colour, linestyle="--", label=f"best {name}")
    each.set(xlabel="hypergradient step", title="a penalty for each column")
    each.set_ylabel("hold-out loss")
    each.legend(frameon=False)
    figure.savefig(path, dpi=150)


def _one_penalty(axes, common: Found, curve: Surface) -> None:
    top = curve.weight[0]
    axes.plot(np.exp(curve.weight - top), curve.value[0], color="0.6", label="path")
    values = np.asarray(common.values)
    axes.plot(
        np.exp(np.asarray(common.thetas)[:, 0] - top), values, "o", color="C0",
        markersize=4, label="descent",
    )  # fmt: skip
    best = np.exp(float(common.theta.weight) - top)
    axes.plot(best, float(common.value), "*", color="C3", markersize=12, label="found")
    axes.set_xscale("log")
    axes.set(xlabel=r"$\lambda/\lambda_{\max}$", ylabel="hold-out loss", title="one penalty")
    axes.legend(frameon=False)


def _two_penalties(figure, axes, both: Found, surface: Surface) -> None:
    value = np.log10(surface.value)
    drawn = axes.contourf(np.exp(surface.weight), np.exp(surface.ridge), value, 14, cmap="viridis")
    figure.colorbar(drawn, ax=axes, label=r"$\log_{10}$ hold-out loss")
    course = np.exp(np.asarray(both.thetas))
    axes.plot(course[:, 0], course[:, 1], "o-", color="white", markersize=3, linewidth=0.8)
    at = np.exp(np.asarray([both.theta.weight, both.theta.ridge]))
    axes.plot(*at, "*", color="C3", markersize=12)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set(xlabel=r"$\ell_1$ weight", ylabel="ridge weight", title="elastic net")
    axes.set_xlim(np.exp(surface.weight.min()), np.exp(surface.weight.max()))
    axes.set_ylim(np.exp(surface.ridge.min()), np.exp(surface.ridge.max()))
