"""The learned weights; test accuracy and the gradient's error in the course of training."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Array, Bool
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.datacleaning.problem import LogOdds
from unrolljax.lab.experiment import Line


def draw(
    path: Path,
    log_odds: LogOdds,
    wrong: Bool[Array, " training"],
    lines: Sequence[Line],
    levels: Mapping[str, float],
) -> None:
    """Write the figure as PNG; `levels` are test accuracies to compare with, by name."""
    figure = Figure(figsize=(11, 7), layout="constrained")
    weights, course, solves, errors = figure.subplots(2, 2).flat
    _histogram(weights, np.asarray(jax.nn.sigmoid(log_odds)), np.asarray(wrong))
    steps = [line["step"] for line in lines]
    course.plot(steps, [line["test accuracy"] for line in lines], label="learned weights")
    for k, (name, level) in enumerate(levels.items()):
        course.axhline(level, color=f"C{k + 1}", linestyle="--", label=name)
    course.set(xlabel="outer step", title="test accuracy, %")
    course.legend(loc="center right")
    for name in ("inner steps", "adjoint steps"):
        solves.semilogy(steps, [line[name] or np.nan for line in lines], label=name)
    solves.set(xlabel="outer step", title="iterations, warm-started")
    solves.legend()
    _errors(errors, steps, [line.get("estimated error") for line in lines])
    figure.savefig(path, dpi=110)


def _histogram(axes: Axes, weights: np.ndarray, wrong: np.ndarray) -> None:
    bins = np.linspace(0, 1, 41)
    for chosen, name in ((~wrong, "right label"), (wrong, "wrong label")):
        axes.hist(weights[chosen], bins.tolist(), alpha=0.6, label=name)
    axes.axvline(0.5, color="0.4", linewidth=0.8)
    axes.set(xlabel="weight", title="training samples by learned weight", yscale="log")
    axes.legend(loc="upper center")


def _errors(axes: Axes, steps: Sequence[int], errors: Sequence[float | None]) -> None:
    """The estimates, with gaps where there is none."""
    axes.semilogy(steps, [np.nan if error is None else error for error in errors])
    axes.set(xlabel="outer step", title="estimated relative error of the hypergradient")
    if all(error is None for error in errors):
        axes.text(0.5, 0.5, "not estimated", ha="center", transform=axes.transAxes)
