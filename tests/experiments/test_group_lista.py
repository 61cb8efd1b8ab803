"""The comparison of group networks: what each is given, and the baselines' numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.group_lista.comparison import (
    BLOCKS,
    ENTRIES,
    FISTA,
    GROUPS,
    Contest,
    by_layer,
    results,
    sweep,
)
from unrolljax.sparse import training
from unrolljax.sparse.networks import HybridLISTA
from unrolljax.sparse.networks.block_lista import BlockLISTA
from unrolljax.sparse.partition import Blocks
from unrolljax.sparse.problems.group_lasso import GroupLasso
from unrolljax.sparse.sensing import Sensing

DEPTH = 8


@pytest.fixture(scope="module")
def contest():
    A = np.random.default_rng(0).standard_normal((30, 60))
    A /= np.linalg.norm(A, axis=0)
    partition = Blocks(4)
    ensemble = training.Ensemble(0.1, partition=partition)
    task = training.Task(Sensing.of(A, partition), (ensemble,), problems=8)
    return Contest(task, Sensing.of(A), partition, 300)


@pytest.fixture(scope="module")
def networks(contest):
    scalars = HybridLISTA.start(DEPTH, contest.partition, dtype=jnp.float64)
    entries = HybridLISTA.start(DEPTH, dtype=jnp.float64)
    blocks = BlockLISTA.from_hybrid(scalars, contest.task.sensing)
    return {GROUPS: scalars, BLOCKS: blocks, ENTRIES: entries}


def test_group_fista_solves_the_group_lasso(contest):
    codes = contest.codes(0.1, jax.random.key(0), 3)
    found = contest.fista(codes.y, jnp.asarray(0.05))
    for x, y in zip(found, codes.y, strict=True):
        problem = GroupLasso(contest.plain.A, y, 0.05, contest.partition)
        assert problem.duality_gap(x) < 1e-6


def test_tables_and_curves_say_the_same(contest, networks):
    test = contest.codes(0.1, jax.random.key(1), 64)
    weight = contest.best_weight(0.1, jax.random.key(2))
    courses = by_layer(contest, networks, test, weight)
    table = results(contest, networks, test, weight)
    assert set(courses) == {GROUPS, BLOCKS, ENTRIES, FISTA}
    for name in networks:
        assert len(courses[name]) == DEPTH
        np.testing.assert_allclose(courses[name][-1], table[name]["NMSE dB, total"], atol=1e-6)
    np.testing.assert_allclose(courses[GROUPS], courses[BLOCKS], atol=1e-6)
    assert courses[GROUPS][-1] < courses[ENTRIES][-1] - 1
    counts = [table[name]["numbers"] for name in (GROUPS, BLOCKS, ENTRIES)]
    assert counts == [4 * DEPTH, DEPTH * (4 + 15 * 16), 4 * DEPTH]
    assert table["numbers of a dense network (LISTA-CP)"] == DEPTH * (30 * 60 + 1)
    assert table["group FISTA, 300 iterations"]["NMSE dB, total"] < courses[FISTA][-1]


def test_denser_codes_are_harder_for_all(contest, networks):
    errors = sweep(contest, networks, [0.05, 0.4], jax.random.key(3), 64)
    assert all(sparse < dense - 3 for sparse, dense in errors.values())
