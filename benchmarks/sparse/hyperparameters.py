"""Hyperparameters of sparse models: one hypergradient, one solve, and the whole search.

A lasso of 500 samples and 5000 correlated columns, 50 of which matter; 500 samples validate. All
peers do the same work in this process, in float64 and with one thread of BLAS.
"""

import jax
import jax.numpy as jnp

from benchmarks.parts import Row
from benchmarks.sparse import _adjoint_race, _inner_race, _search_race
from unrolljax.sparse import Lasso
from unrolljax.sparse.model_selection.designs import correlated
from unrolljax.sparse.model_selection.threads import one_blas_thread

SHARE = 1 / 7.3
"""Of the largest penalty: a support of about 232 columns, as at the best hold-out loss."""


def run(quick: bool) -> list[Row]:
    """All figures; quick leaves out the longest paths and repeats less."""
    runs = 3 if quick else 9
    design = correlated(2000, 5000, 50, 0.5, 2.0, seed=0)
    parts = design.part(0, 500), design.part(500, 1000), design.part(1000, 2000)
    race = _search_race.Race(*parts)
    with jax.enable_x64(True), one_blas_thread():
        weight = jnp.asarray(SHARE * race.top)
        problem, validation = (
            Lasso(jnp.asarray(part.A), jnp.asarray(part.y), weight) for part in parts[:2]
        )
        rows = _adjoint_race.race(problem, validation, runs)
        rows += _inner_race.race(problem, runs)
        rows += _search_race.lasso(race, 1e-2, 4, runs)
        if not quick:
            rows += _search_race.lasso(race, 1e-3, 15, runs)
        rows += _search_race.elastic_net(race, 1 if quick else 3)
        rows += _search_race.weighted_lasso(race, 10 if quick else 40)
    return rows
