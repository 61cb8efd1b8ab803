"""Selection and gates, against sorting, soft thresholding and finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from unrolljax import prox
from unrolljax.sparse.partition import Blocks, Entries, Groups
from unrolljax.sparse.shrinkage import gate, magnitude_of_rank, select_and_shrink

PARTITIONS = [Entries(), Blocks(5), Groups(np.arange(80) % 7)]


@pytest.mark.parametrize("count", [0.0, 1.0, 7.0, 7.9, 79.0, 80.0, 200.0])
def test_bisection_finds_the_magnitude_that_sorting_finds(vector, count):
    norms = jnp.abs(vector)
    level = magnitude_of_rank(norms, jnp.asarray(count))
    assert jnp.sum(norms > level) == min(int(count), 80)


def test_ties_are_never_half_selected():
    norms = jnp.array([3.0, 1.0, 1.0, 1.0, 0.5])
    assert jnp.sum(norms > magnitude_of_rank(norms, jnp.asarray(2.0))) == 1


def test_without_selection_it_is_soft_thresholding(vector):
    found = select_and_shrink(vector, jnp.asarray(0.4), jnp.asarray(0.0), Entries())
    np.testing.assert_allclose(found, prox.l1(vector, 0.4), atol=1e-15)


def test_without_selection_blocks_are_shrunk_by_the_group_lasso(vector):
    found = select_and_shrink(vector, jnp.asarray(0.4), jnp.asarray(0.0), Blocks(5))
    expected = prox.group_lasso(vector.reshape(-1, 5), 0.4).ravel()
    np.testing.assert_allclose(found, expected, atol=1e-15)


@pytest.mark.parametrize("partition", PARTITIONS)
def test_the_largest_pass_whole_and_the_small_are_zero_all_the_same(vector, partition):
    threshold, count = jnp.asarray(1.1), jnp.asarray(3.0)
    found = np.asarray(select_and_shrink(vector, threshold, count, partition))
    members = partition.members(80)
    norms = np.array([np.linalg.norm(vector[group]) for group in members])
    for rank, group in enumerate(np.argsort(-norms)):
        entries = np.asarray(vector[members[group]])
        shrunk = entries * max(0, 1 - 1.1 / norms[group])
        whole = rank < 3 and norms[group] > 1.1
        np.testing.assert_allclose(found[members[group]], entries if whole else shrunk, atol=1e-14)


@pytest.mark.parametrize("partition", PARTITIONS)
def test_gates_are_those_of_the_formula_and_smooth(vector, partition):
    threshold, sharpness = jnp.asarray(1.3), jnp.asarray(2.0)
    found = np.asarray(gate(vector, threshold, sharpness, partition))
    for group in partition.members(80):
        entries = np.asarray(vector[group])
        factor = 1 / (1 + np.exp(-2 * (np.sum(entries**2) / 1.3**2 - 1)))
        np.testing.assert_allclose(found[group], factor * entries, rtol=1e-13)
    check_grads(
        lambda v, t, s: gate(v, t, s, partition), (vector, threshold, sharpness), 1, rtol=1e-6
    )


@pytest.mark.parametrize("partition", PARTITIONS)
@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_zeros_stay_zero_and_have_finite_derivatives(partition, threshold):
    zero, number = jnp.zeros(80), jnp.asarray(threshold)

    def total(v, t):
        chosen = select_and_shrink(v, t, jnp.asarray(2.0), partition)
        return jnp.sum(chosen) + jnp.sum(gate(v, t, jnp.asarray(3.0), partition))

    value, slopes = jax.value_and_grad(total, (0, 1))(zero, number)
    assert value == 0
    assert all(jnp.all(jnp.isfinite(slope)) for slope in slopes)
