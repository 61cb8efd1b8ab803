"""The course of the penalties and of the errors, and what each input costs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from experiments.hyperparameter.problem import Penalties
from unrolljax.lab.experiment import Line


def draw(path: Path, penalties: Penalties, lines: Sequence[Line], searched: float) -> None:
    """Write the figure as PNG; `searched` is the validation loss of the grid search."""
    figure = Figure(figsize=(13, 3.6), layout="constrained")
    losses, solves, bars = figure.subplots(1, 3)
    steps = [line["step"] for line in lines]
    losses.plot(steps, [line["validation loss"] for line in lines], label="hypergradients")
    losses.axhline(searched, color="0.5", linestyle="--", label="grid search")
    losses.set(xlabel="outer step", title="validation loss, mean of the folds")
    losses.legend()
    for name in ("inner steps", "adjoint steps"):
        solves.semilogy(steps, [max(line[name], 0.5) for line in lines], label=name)
    solves.set(xlabel="outer step", title="iterations of a fold, warm-started")
    solves.legend()
    shares = np.exp(np.asarray(penalties.inputs, float))
    bars.bar(range(len(shares)), shares)
    bars.set(xlabel="input", title="learned l1 weight of each input")
    figure.savefig(path, dpi=110)
