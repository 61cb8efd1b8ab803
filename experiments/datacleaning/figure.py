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
    figure = Figure(figsize=(13, 3.8), layout="constrained")
    weights, course, errors = figure.subplots(1, 3)
    _histogram(weights, np.asarray(jax.nn.sigmoid(log_odds)), np.asarray(wrong))
    steps = [line["step"] for line in lines]
    course.plot(steps, [line["test accuracy"] for line in lines], label="learned weights")
    for k, (name, level) in enumerate(levels.items()):
        course.axhline(level, color=f"C{k + 1}", linestyle="--", label=name)
    course.set(xlabel="outer step", title="test accuracy, %")
    course.legend(loc="lower right")
    _solves(errors, steps, lines)
    figure.savefig(path, dpi=110)


def _histogram(axes: Axes, weights: np.ndarray, wrong: np.ndarray) -> None:
    bins = np.linspace(0, 1, 41)
    for chosen, name in ((~wrong, "right label"), (wrong, "wrong label")):
        axes.hist(weights[chosen], bins.tolist(), alpha=0.6, label=name)
    axes.axvline(0.5, color="0.4", linewidth=0.8)
    axes.set(xlabel="weight", title="training samples by learned weight", yscale="log")
    axes.legend()


def _solves(axes: Axes, steps: Sequence[int], lines: Sequence[Line]) -> None:
    """Iterations of every step and, where it was estimated, the error of its gradient."""
    for k, name in enumerate(("inner steps", "adjoint steps")):
        axes.semilogy(steps, [line[name] or np.nan for line in lines], color=f"C{k}", label=name)
    axes.set(xlabel="outer step", title="iterations, warm-started")
    axes.legend(loc="center right")
    if "estimated error" not in lines[0]:
        return
    found = [line["estimated error"] for line in lines]
    right = axes.twinx()
    right.semilogy(steps, [np.nan if e is None else e for e in found], color="C3")
    right.set_ylabel("estimated relative error of the gradient", color="C3")
    axes.set_title("iterations, warm-started; error")
