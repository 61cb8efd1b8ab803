"""Gradient-free tuning of a few positive numbers, from many starts."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Tuned(NamedTuple):
    """The best numbers found, the objective there, and how often it was evaluated."""

    numbers: np.ndarray
    value: float
    evaluations: int


def tune(
    objective: Callable[[np.ndarray], float],
    low: np.ndarray,
    high: np.ndarray,
    starts: int = 64,
    refined: int = 3,
    evaluations: int = 80,
    seed: int = 0,
) -> Tuned:
    """Minimise over positive numbers: from random starts on a log scale, the best by Nelder-Mead.

    - `low`, `high`: the box from which starts are drawn; refinement may leave it.
    - `starts`: points tried; `refined`: how many of the best are refined; `evaluations`: of each.

    A value that is not finite counts as the worst. Raises a ValueError where every start's is.
    """
    from scipy import optimize  # half a second, for those who tune

    low, high = np.log(low), np.log(high)
    counted = 0

    def value(logs: np.ndarray) -> float:
        nonlocal counted
        counted += 1
        found = float(objective(np.exp(logs)))
        return found if np.isfinite(found) else np.inf

    points = np.random.default_rng(seed).uniform(low, high, (starts, len(low)))
    values = np.array([value(point) for point in points])
    if not np.any(np.isfinite(values)):
        raise ValueError("No start has a finite objective: move the box from low to high.")
    options = {"maxfev": evaluations, "xatol": 1e-3, "fatol": 1e-3}
    found = [
        optimize.minimize(value, points[i], method="Nelder-Mead", options=options)
        for i in np.argsort(values)[:refined]
    ]
    best = min(found, key=lambda result: result.fun)
    return Tuned(np.exp(best.x), float(best.fun), counted)
