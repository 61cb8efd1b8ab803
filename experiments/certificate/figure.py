"""Estimated against true error, case by case; and both in the course of training."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.certificate.campaign import LARGEST, SMALLEST, Case
from unrolljax.lab.experiment import Line

MARKERS = {"implicit": "o", "one step": "s", "Neumann": "^", "truncated": "D", "unroll": "x"}


def draw(path: Path, cases: Sequence[Case], lines: Sequence[Line]) -> None:
    """Write the figure as PNG; `lines` are the metrics of the training steps."""
    figure = Figure(figsize=(13, 6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.4, 1))
    _scatter(left, [case for case in cases if case.counts])
    steps = [line["step"] for line in lines]
    for name, style in (("true error", "-"), ("estimated error", "o")):
        right.semilogy(steps, [line[name] for line in lines], style, label=name)
    right.set(xlabel="outer step", ylabel="relative error of the gradient", title="in training")
    right.legend()
    figure.savefig(path, dpi=120)


def _scatter(axes: Axes, cases: Sequence[Case]) -> None:
    systems = list(dict.fromkeys(case.system for case in cases))
    colours = {name: f"C{k % 10}" for k, name in enumerate(systems)}
    ends = np.array([SMALLEST, LARGEST])
    axes.fill_between(ends, ends / 2, 2 * ends, color="0.88", label="within a factor of 2")
    for system in systems:
        for mode, marker in MARKERS.items():
            own = [c for c in cases if c.system == system and c.mode == mode]
            label = system if mode == "implicit" else None
            true, estimated = [c.error for c in own], [c.estimate for c in own]
            axes.scatter(
                true, estimated, s=22, marker=marker, color=colours[system], label=label, alpha=0.7
            )
    for mode, marker in MARKERS.items():
        axes.scatter([], [], marker=marker, color="black", label=mode)
    axes.loglog(ends, ends, color="0.4", linewidth=0.8)
    axes.set(xlabel="true relative error", ylabel="estimated relative error")
    axes.set_title(f"{len(cases)} hypergradients")
    axes.legend(fontsize=7, ncols=2)
