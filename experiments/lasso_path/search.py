"""The searches for one and for two penalties, the hold-out loss around them, and scores."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import unrolljax as uj
from experiments.lasso_path.data import Problems
from unrolljax.sparse import ElasticNet, Lasso
from unrolljax.sparse.model_selection import (
    Descent,
    Found,
    Machinery,
    Penalties,
    SupportAdjoint,
    WorkingSet,
    hypergradient,
    log_grid,
    search,
)

LAST = 1e-2
"""Smallest penalty over the largest."""


class Surface(NamedTuple):
    """A hold-out loss over the logarithms of penalties; NaN where a solve failed."""

    weight: Float[np.ndarray, " columns"]
    ridge: Float[np.ndarray, " rows"]
    value: Float[np.ndarray, "rows columns"]


def one_penalty(problems: Problems, capacity: int, stop: uj.Stop) -> Found:
    """The best lasso."""
    grid = log_grid(_top(problems), LAST, 8)
    return search(problems.hold_out(Lasso), _like(problems, grid), capacity=capacity, stop=stop)


def two_penalties(problems: Problems, capacity: int, stop: uj.Stop) -> Found:
    """The best elastic net, from a coarse grid whose rows are ridge weights."""
    top = _top(problems)
    grid = _like(problems, log_grid(top, LAST, 8, (3e-5 * top, 3e-3 * top, 0.3 * top)))
    criterion, descent = problems.hold_out(ElasticNet), Descent(steps=30, tol=1e-6)
    return search(criterion, grid, capacity=capacity, stop=stop, descent=descent)


def landscape(
    problems: Problems, common: Found, both: Found, path: int, contour: int, stop: uj.Stop
) -> tuple[Surface, Surface]:
    """The hold-out loss of the lasso, and that of the elastic net, over the penalties."""
    top = float(np.log(_top(problems)))
    weights = np.linspace(top, float(common.theta.weight) - 1.2, path)
    plain = _values(problems, Lasso, weights, None, common.capacity, stop)
    centre = (float(both.theta.weight), float(both.theta.ridge))  # pyright: ignore
    across = np.linspace(min(top, centre[0] + 3.0), centre[0] - 2.0, contour)
    along = np.linspace(centre[1] - 2.0, max(top, centre[1] + 4.0), contour)
    rows = [_values(problems, ElasticNet, across, r, both.capacity, stop) for r in along]
    nothing = np.zeros(1)
    return Surface(weights, nothing, plain[None]), Surface(across, along, np.stack(rows))


def scores(
    problems: Problems, chosen: dict[str, Penalties], capacity: int, stop: uj.Stop
) -> dict[str, dict[str, float]]:
    """Losses of what was chosen, on validation and test samples, and how well supports agree."""
    rows = {}
    for name, theta in chosen.items():
        criterion = problems.hold_out(Lasso if theta.ridge is None else ElasticNet)
        found = _evaluate(criterion, theta, _zero(problems), 2 * capacity, stop)
        x, truth = np.asarray(found.x[0]), np.asarray(problems.truth)
        missed = np.asarray(problems.y[2]) - np.asarray(problems.A[2]) @ x
        both = np.sum((x != 0) & (truth != 0))
        rows[name] = {
            "validation loss": float(found.value),
            "test loss": float(np.mean(missed**2) / 2),
            "support": int(np.sum(x != 0)),
            "F1": float(2 * both / (np.sum(x != 0) + np.sum(truth != 0))),
        }
    return rows


def _values(problems, kind, weights, ridge, capacity, stop) -> np.ndarray:
    """The hold-out loss along falling weights, warm-started."""
    criterion, x, values = problems.hold_out(kind), _zero(problems), []
    for weight in weights:
        theta = Penalties(jnp.asarray(weight), None if ridge is None else jnp.asarray(ridge))
        found = _evaluate(criterion, _like(problems, theta), x, 2 * capacity, stop)
        good = int(found.status) == 0
        values.append(float(found.value) if good else np.nan)
        x = found.x if good else x
    return np.asarray(values)


def _evaluate(criterion, theta, x, capacity, stop):
    capacity = min(capacity, x.shape[1])
    machinery = Machinery(WorkingSet(capacity), SupportAdjoint(capacity), stop)
    return hypergradient(criterion, theta, x, machinery)


def _zero(problems: Problems) -> Array:
    return jnp.zeros_like(problems.A[0, :1])


def _like(problems: Problems, theta: Penalties) -> Penalties:
    return jax.tree.map(lambda v: v.astype(problems.y.dtype), theta)


def _top(problems: Problems) -> float:
    return float(problems.hold_out(Lasso).problem.largest_weight())
