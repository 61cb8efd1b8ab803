"""Analytic weights: constraint, optimality against a constrained solve, bad input."""

import jax.numpy as jnp
import numpy as np
import pytest

from unrolljax.sparse.analytic import analytic_weight
from unrolljax.sparse.partition import Blocks, Entries, Groups
from unrolljax.sparse.sensing import Sensing


def unit_columns(rows=20, columns=40):
    A = np.random.default_rng(3).standard_normal((rows, columns))
    return A / np.linalg.norm(A, axis=0)


def minimiser(A, group):
    """min |W_g^T A|_F subject to W_g^T A_g = I, by its KKT system."""
    rows, size = A.shape[0], len(group)
    kkt = np.block([[A @ A.T, A[:, group]], [A[:, group].T, np.zeros((size, size))]])
    right = np.concatenate([np.zeros((rows, size)), np.eye(size)])
    return np.linalg.solve(kkt, right)[:rows]


@pytest.mark.parametrize("partition", [Entries(), Blocks(4), Groups(np.arange(40) % 7)])
def test_it_minimises_the_coherence_under_its_constraint(partition):
    A = unit_columns()
    W = analytic_weight(A, partition)
    for group in partition.members(40):
        np.testing.assert_allclose(W[:, group].T @ A[:, group], np.eye(len(group)), atol=1e-11)
        np.testing.assert_allclose(W[:, group], minimiser(A, group), atol=1e-10)


def test_it_gives_the_correlations_of_the_pseudo_inverse():
    A = unit_columns()
    W = analytic_weight(A)
    scale = np.sum(A * np.linalg.solve(A @ A.T, A), axis=0)
    np.testing.assert_allclose(W * scale, np.linalg.pinv(A).T, atol=1e-11)


def test_a_blend_lies_between_the_weight_and_the_matrix():
    sensing = Sensing.of(unit_columns())
    r = jnp.arange(20.0)
    half = sensing.correlate(r, jnp.asarray(0.5))
    np.testing.assert_allclose(half, (sensing.correlate(r) + sensing.transpose(r)) / 2, rtol=1e-12)


def test_float32_matrices_get_float32_weights():
    assert Sensing.of(unit_columns().astype(np.float32)).W.dtype == jnp.float32


@pytest.mark.parametrize(
    ("A", "told"),
    [
        (2 * unit_columns(), "norm 1"),
        (np.where(unit_columns() > 0.3, np.nan, unit_columns()), "finite"),
        (unit_columns()[0], "finite matrix"),
        (np.vstack([unit_columns(), unit_columns()]) / np.sqrt(2), "row rank"),
    ],
)
def test_bad_matrices_are_told(A, told):
    with pytest.raises(ValueError, match=told):
        Sensing.of(A)


@pytest.mark.parametrize(
    ("partition", "told"),
    [(Blocks(7), "Blocks"), (Groups(np.arange(30) % 3), "cover")],
)
def test_groups_that_do_not_cover_are_told(partition, told):
    with pytest.raises(ValueError, match=told):
        Sensing.of(unit_columns(), partition)


@pytest.mark.parametrize("labels", [[0, 2, 2], [-1, 0, 1], [[0, 1]], [0.0, 1.0], []])
def test_labels_are_checked(labels):
    with pytest.raises(ValueError, match="Groups"):
        Groups(labels)
