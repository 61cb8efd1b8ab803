"""Hyperparameters end to end: one penalty against grids of celer, and what no grid can follow."""

import statistics
import time
from typing import Any

import jax.numpy as jnp
import numpy as np

from benchmarks.parts import Row
from unrolljax.sparse import ElasticNet
from unrolljax.sparse.model_selection import Descent, HoldOut, Penalties, log_grid, search
from unrolljax.sparse.model_selection.designs import Design

PART = "hyperparameters"
RATIOS = (0.95, 0.7, 0.5, 0.3, 0.1)
"""Rows of the elastic net's grids."""


class Race:
    """A hold-out of a design, for searches of ours and paths of celer."""

    def __init__(self, training: Design, validation: Design, test: Design):
        self.training, self.validation, self.test = training, validation, test
        self.A = np.asfortranarray(training.A)
        self.samples = len(training.y)
        self.top = float(np.max(np.abs(training.A.T @ training.y)))

    def criterion(self, ridge: float = 0.0) -> HoldOut:
        """Weights and ridge are factors of what a search moves."""
        ones = (jnp.ones(()), jnp.asarray(ridge))
        return HoldOut(*(
            ElasticNet(jnp.asarray(part.A), jnp.asarray(part.y), *ones)
            for part in (self.training, self.validation)
        ))  # fmt: skip

    def losses(self, coefficients: Any, part: Design) -> np.ndarray:
        """Half the mean squared error of each column of coefficients."""
        return np.mean((part.y[:, None] - part.A @ coefficients) ** 2, axis=0) / 2

    def path(self, last: float, tol: float, ratio: float = 1.0) -> np.ndarray:
        """A warm-started grid of 100 by celer: (features, 100)."""
        from celer import celer_path

        alphas = self.top / self.samples / ratio * np.geomspace(1, last, 100)
        y = self.training.y
        return celer_path(self.A, y, "lasso", alphas=alphas, tol=tol, l1_ratio=ratio)[1]


def lasso(race: Race, last: float, bound: float, runs: int) -> list[Row]:
    """One penalty; both searches go down to `last` times the largest."""
    points = 8 if last >= 0.01 else 12
    grid, criterion = log_grid(race.top, last, points), race.criterion()
    found, ours, first = _timed(lambda: search(criterion, grid), runs)
    value, label = float(found.value), f"end to end: down to 1/{1 / last:.0f}"
    rows = [
        Row(PART, f"{label}, ours", f"{1e3 * ours:.0f} ms, {int(found.evaluations)} evaluations"),
        Row(PART, f"{label}, first call", f"{first:.1f} s"),
    ]
    for tol, judged in ((1e-6, True), (1e-4, False)):
        try:
            path, theirs, _ = _timed(lambda tol=tol: race.path(last, tol), 1)
        except ImportError as error:
            return [*rows, Row(PART, f"{label}, celer", f"skipped: {error}")]
        ratio = theirs / ours
        loss = value / float(race.losses(path, race.validation).min())
        text = f"{1e3 * theirs:.0f} ms, {ratio:.1f}x, loss ratio {loss:.5f}"
        passed = (ratio >= bound and loss <= 1.001) if judged else None
        target = f">= {bound:g}x, <= 1.001" if judged else ""
        rows.append(Row(PART, f"{label}, celer's grid of 100 at tol {tol:g}", text, target, passed))
    return rows


def elastic_net(race: Race, runs: int) -> list[Row]:
    """Two penalties, against 100 penalties for each of five ratios."""
    weights = np.log(race.top) + np.linspace(0, np.log(1e-2), 8)
    ratios = np.asarray((0.95, 0.5))[:, None]
    grid = Penalties(
        jnp.asarray(weights + 0 * ratios), jnp.asarray(weights + np.log((1 - ratios) / ratios))
    )
    criterion = race.criterion(1.0)
    found, ours, _ = _timed(lambda: search(criterion, grid, descent=Descent(steps=30)), runs)
    text = f"{float(found.value):.4f} in {1e3 * ours:.0f} ms, {int(found.evaluations)} evaluations"
    rows = [Row(PART, "elastic net, 2 penalties: ours, hold-out loss", text)]
    try:
        start = time.perf_counter()
        best = min(
            race.losses(race.path(1e-2, 1e-6, ratio), race.validation).min() for ratio in RATIOS
        )
        theirs = time.perf_counter() - start
    except ImportError as error:
        return [*rows, Row(PART, "elastic net: celer", f"skipped: {error}")]
    loss, ratio = float(found.value) / best, theirs / ours
    text = f"{best:.4f} in {1e3 * theirs:.0f} ms, {ratio:.1f}x, loss ratio {loss:.5f}"
    passed = ratio >= 4 and loss <= 1.001
    name = "elastic net: celer's grid of 5 x 100"
    return [*rows, Row(PART, name, text, ">= 4x, <= 1.001", passed)]


def weighted_lasso(race: Race, steps: int) -> list[Row]:
    """A penalty for each column, from the best common one: a grid of two values has 2^p points."""
    criterion = race.criterion()
    common = search(criterion, log_grid(race.top, 1e-2, 8))
    columns = race.A.shape[1]
    start = Penalties(jnp.full((1, 1, columns), common.theta.weight))
    descent = Descent(steps=steps, tol=1e-5)
    each, seconds, _ = _timed(lambda: search(criterion, start, descent=descent), 1)
    rows, scores = [], {}
    for name, found in (("lasso", common), ("weighted lasso", each)):
        x = np.asarray(found.x[0])
        test = float(race.losses(x[:, None], race.test)[0])
        scores[name] = float(found.value), test, f1_score(x, race.training.truth)
        text = "hold-out {:.3f}, test {:.3f}, F1 {:.2f}".format(*scores[name])
        rows.append(Row(PART, f"{columns} penalties: {name}", text))
    better = all(scores["weighted lasso"][k] < scores["lasso"][k] for k in (0, 1))
    better &= scores["weighted lasso"][2] > scores["lasso"][2]
    text = f"{seconds:.2f} s, {int(each.evaluations)} evaluations"
    name = "weighted lasso better in all three"
    return [*rows, Row(PART, name, text, "lower, lower, higher", better)]


def f1_score(x: np.ndarray, truth: np.ndarray) -> float:
    """Of the support."""
    both = np.sum((x != 0) & (truth != 0))
    return float(2 * both / (np.sum(x != 0) + np.sum(truth != 0)))


def _timed(function: Any, runs: int) -> tuple[Any, float, float]:
    """What it returns, the median of its seconds, and those of the first call."""
    seconds = []
    result = None
    for _ in range(runs + 1):
        start = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - start)
    return result, statistics.median(seconds[1:]), seconds[0]
