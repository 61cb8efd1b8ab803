"""One lasso solved from zero: working sets, celer, scikit-learn, FISTA at full width."""

import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import unrolljax as uj
from benchmarks.core.timing import run_in_turn
from benchmarks.parts import Row
from unrolljax.sparse import Lasso
from unrolljax.sparse.model_selection import WorkingSet

PART = "hyperparameters"
OURS, CELER, FISTA, SKLEARN = (
    "inner: working set of 256", "inner: celer", "inner: FISTA at full width",
    "inner: scikit-learn",
)  # fmt: skip
GAP = 1e-8


def race(problem: Lasso, runs: int) -> list[Row]:
    """Seconds from zero to a duality gap of 1e-8 of the objective at zero."""
    solvers, rows = _solvers(problem)
    gaps, scale = {}, float(problem.objective(jnp.zeros(problem.A.shape[1])))
    for name, solve in solvers.items():
        start = time.perf_counter()
        x = jnp.asarray(jax.block_until_ready(solve()))
        first = time.perf_counter() - start
        gaps[name] = float(problem.duality_gap(x)) / scale
        if name == OURS:
            rows.append(Row(PART, "inner: first call, compilation included", f"{first:.1f} s"))
    times = _times(solvers, runs)
    for name in solvers:
        text = f"{1e3 * times[name]:.1f} ms, gap {gaps[name]:.0e}"
        rows.append(Row(PART, name, text))
    close = gaps[OURS] <= GAP
    for peer, bound in ((CELER, 1 / 5), (FISTA, 10)):
        if peer in times:
            ratio = times[peer] / times[OURS]
            name, target = f"{peer}'s time over ours", f">= {bound:g} at gap 1e-8"
            rows.append(Row(PART, name, f"{ratio:.2f}", target, close and ratio >= bound))
    return rows


def _times(solvers: dict[str, Callable], runs: int) -> dict[str, float]:
    """Medians; what takes seconds is run less often."""
    fast = {name: solvers[name] for name in (OURS, CELER) if name in solvers}
    slow = {name: solve for name, solve in solvers.items() if name not in fast}
    times = run_in_turn(fast, (), runs) | run_in_turn(slow, (), min(runs, 3))
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def _solvers(problem: Lasso) -> tuple[dict[str, Callable[[], Any]], list[Row]]:
    zero = jnp.zeros(problem.A.shape[1])
    A, y = np.asfortranarray(problem.A), np.asarray(problem.y)
    alpha = float(jnp.asarray(problem.weight)) / len(y)
    step = float(1 / np.linalg.norm(A, 2) ** 2)
    fista = uj.solvers.ProximalGradient(step, accelerated=True)

    def run(solver, stop):
        return lambda: uj.solve(solver, problem, zero, gradient=uj.Detach(), stop=stop).value

    solvers = {
        OURS: run(WorkingSet(256), uj.Stop(50, 1e-6)),
        FISTA: run(fista, uj.Stop(20000, 1e-10)),
    }
    rows = []
    try:
        from celer import Lasso as Celer

        solvers[CELER] = lambda: Celer(alpha, tol=GAP, fit_intercept=False).fit(A, y).coef_
    except ImportError as error:
        rows.append(Row(PART, CELER, f"skipped: {error}"))
    from sklearn.linear_model import Lasso as Sklearn

    def by_sklearn():
        # scikit-learn's tolerance is relative to |y|^2; so is the gap.
        model = Sklearn(alpha, tol=GAP / 2, fit_intercept=False, max_iter=100_000)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return model.fit(A, y).coef_

    solvers[SKLEARN] = by_sklearn
    return solvers, rows
