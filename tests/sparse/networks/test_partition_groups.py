"""Networks on groups, of different sizes too: against single entries, by hand and by recovery."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unrolljax as uj
from unrolljax.sparse import training
from unrolljax.sparse.networks import ALISTA, HybridLISTA, HyperLISTA, Selection, decode
from unrolljax.sparse.partition import Blocks, Entries, Groups
from unrolljax.sparse.sensing import Sensing
from unrolljax.sparse.shrinkage import gate, select_and_shrink

rng = np.random.default_rng(0)
M, N, DEPTH = 40, 80, 16
A = rng.standard_normal((M, N))
A /= np.linalg.norm(A, axis=0)
LABELS = rng.permutation(np.repeat(np.arange(20), [1, 2, 3, 4, 5, 6, 7, 2, 4, 6] * 2))
UNEQUAL = Groups(LABELS)
NETWORKS = {
    "ALISTA": lambda p: ALISTA.start(DEPTH, 0.5, 0.05, Selection(0.02, 0.2), p, jnp.float64),
    "HyperLISTA": lambda p: HyperLISTA.start((4.0, 1.0, 0.1), p, jnp.float64),
    "HybridLISTA": lambda p: HybridLISTA.start(DEPTH, p, dtype=jnp.float64),
}
EVERY = pytest.mark.parametrize("name", NETWORKS)


@eqx.filter_jit
def recovered(network, sensing, y):
    return decode(network, sensing, y, stop=uj.Stop(DEPTH, tol=None)).value


@EVERY
def test_groups_of_one_are_entries(name):
    sensing = Sensing.of(A)
    y = jnp.asarray(rng.standard_normal((3, M)))
    entries, groups = (
        recovered(NETWORKS[name](partition), sensing, y)
        for partition in (Entries(), Groups(np.arange(N)))
    )
    np.testing.assert_allclose(groups, entries, atol=1e-12)


@EVERY
def test_blocks_are_groups_of_neighbours(name):
    partitions = (Blocks(4), Groups(np.repeat(np.arange(N // 4), 4)))
    y = jnp.asarray(rng.standard_normal((3, M)))
    found = [recovered(NETWORKS[name](p), Sensing.of(A, p), y) for p in partitions]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9, atol=1e-12)


def test_groups_of_different_sizes_are_recovered_better_than_entries():
    sensing = Sensing.of(A, UNEQUAL)
    codes = training.Ensemble(0.2, partition=UNEQUAL).draw(sensing, jax.random.key(0), 64)

    def errors(name):
        pairs = ((UNEQUAL, sensing), (Entries(), Sensing.of(A)))
        return [
            float(training.mean_nmse(recovered(NETWORKS[name](p), s, codes.y), codes.x))
            for p, s in pairs
        ]

    for name in ("HyperLISTA", "HybridLISTA"):
        groups, entries = errors(name)
        assert groups < -20
        assert groups < entries - 5


def test_gradients_on_groups_agree_with_differences():
    sensing = Sensing.of(A, UNEQUAL)
    codes = training.Ensemble(0.1, partition=UNEQUAL).draw(sensing, jax.random.key(1), 8)
    network = HybridLISTA.start(4, UNEQUAL, dtype=jnp.float64)

    def loss(logs):
        moved = eqx.tree_at(lambda n: n.layers.log_threshold, network, logs)
        return training.total_nmse(decode(moved, sensing, codes.y).value, codes.x)

    logs, nudge = network.layers.log_threshold, jnp.array([0, 1e-6, 0, 0])
    differences = (loss(logs + nudge) - loss(logs - nudge)) / 2e-6
    np.testing.assert_allclose(jax.grad(loss)(logs)[1], differences, rtol=1e-5)


def test_gradients_at_codes_of_zeros_are_finite():
    dtype = jnp.float32
    sensing = Sensing.of(jnp.asarray(A, dtype), UNEQUAL)
    network = HybridLISTA.start(2, UNEQUAL, dtype=dtype)

    def loss(layers):
        moved = eqx.tree_at(lambda n: n.layers, network, layers)
        return jnp.sum(decode(moved, sensing, jnp.zeros((2, M), dtype)).value)

    slopes = jax.grad(loss)(network.layers)
    assert all(bool(jnp.all(jnp.isfinite(slope))) for slope in jax.tree.leaves(slopes))


def test_selected_groups_pass_whole_and_the_others_are_shrunk():
    v = jnp.asarray(rng.standard_normal(N))
    norms = np.asarray([np.linalg.norm(v[g == LABELS]) for g in range(20)])
    found = np.asarray(select_and_shrink(v, jnp.asarray(1.5), jnp.asarray(3.0), UNEQUAL))
    largest = np.argsort(norms)[-3:]
    for group, norm in enumerate(norms):
        factor = 1.0 if group in largest else max(0.0, 1 - 1.5 / norm)
        np.testing.assert_allclose(found[group == LABELS], factor * v[group == LABELS])
    gated = np.asarray(gate(v, jnp.asarray(1.5), jnp.asarray(2.0), UNEQUAL))
    open_by = 1 / (1 + np.exp(-2.0 * (norms**2 / 1.5**2 - 1)))
    np.testing.assert_allclose(gated, open_by[LABELS] * v)
