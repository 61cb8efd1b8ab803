"""Sparse logistic regression: gaps, largest weight, sample weights; against scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import unrolljax as uj
from unrolljax.sparse import Lasso
from unrolljax.sparse.problems.logistic import SparseLogistic

rng = np.random.default_rng(0)
A = rng.standard_normal((40, 25))
Y = np.where(A[:, :3].sum(axis=1) + rng.standard_normal(40) > 0, 1.0, -1.0)
ONE = jnp.asarray(1.5)


def problem(weight=ONE, ridge=0.0, sample_weight=None):
    arrays = map(jnp.asarray, (A, Y, weight, ridge))
    return SparseLogistic(*arrays, sample_weight=sample_weight)


def solved(problem):
    step = 4 / (np.linalg.norm(A, 2) ** 2 * 3 + 4)
    solver = uj.solvers.ProximalGradient(float(step), accelerated=True)
    stop = uj.Stop(20000, tol=1e-13)
    return uj.solve(solver, problem, jnp.zeros(25), stop=stop).raise_if_failed().value


SAMPLE_WEIGHT = jnp.asarray(rng.integers(0, 4, 40) * 1.0)
PROBLEMS = {
    "l1": problem(),
    "ridge": problem(ridge=0.7),
    "weighted": problem(jnp.linspace(0.5, 3.0, 25), 0.2, SAMPLE_WEIGHT),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_gap_bounds_the_suboptimality_and_closes(name):
    own = PROBLEMS[name]
    best = solved(own)
    assert 0 < np.sum(best == 0) < 25
    assert -1e-10 < own.duality_gap(best) < 1e-8 * own.objective(jnp.zeros(25))
    for size in (1e-3, 0.1, 1.0):
        rough = best + size * jnp.asarray(rng.standard_normal(25))
        assert own.duality_gap(rough) >= own.objective(rough) - own.objective(best)


def test_solutions_are_those_of_scikit_learn():
    options = {"solver": "saga", "fit_intercept": False, "tol": 1e-12, "max_iter": 100_000}
    theirs = LogisticRegression(l1_ratio=1.0, C=1 / 1.5, **options).fit(A, Y)
    np.testing.assert_allclose(solved(problem()), theirs.coef_[0], atol=1e-7)
    theirs.fit(A, Y, sample_weight=np.asarray(SAMPLE_WEIGHT))
    ours = solved(problem(sample_weight=SAMPLE_WEIGHT))
    np.testing.assert_allclose(ours, theirs.coef_[0], atol=1e-7)


def test_a_sample_of_weight_two_counts_twice():
    weight = jnp.ones(40).at[3].set(2.0).at[5].set(0.0)
    rows = np.r_[0:5, 6:40, 3]
    twice = SparseLogistic(jnp.asarray(A[rows]), jnp.asarray(Y[rows]), ONE, jnp.asarray(0.3))
    once = problem(ridge=0.3, sample_weight=weight)
    lasso = [Lasso(p.A, p.y, ONE, sample_weight=p.sample_weight) for p in (once, twice)]
    x = jnp.asarray(rng.standard_normal(25))
    for ours, theirs in ((once, twice), lasso):
        np.testing.assert_allclose(ours.objective(x), theirs.objective(x))
        np.testing.assert_allclose(ours.duality_gap(x), theirs.duality_gap(x))
        np.testing.assert_allclose(ours.largest_weight(), theirs.largest_weight())


def test_slope_and_curvature_are_those_of_the_logistic_function():
    z = jnp.linspace(-3, 3, 40)
    share = 1 / (1 + jnp.exp(-z))
    np.testing.assert_allclose(problem().slope(z), share - (Y > 0) * 1.0, atol=1e-14)
    np.testing.assert_allclose(problem().curvature(z), share * (1 - share), atol=1e-14)


def test_from_the_largest_weight_on_the_solution_is_zero():
    top = problem(1.0).largest_weight()
    np.testing.assert_allclose(top, np.max(np.abs(A.T @ Y)) / 2)
    assert jnp.all(solved(problem(1.0001 * top)) == 0)
    assert jnp.any(solved(problem(0.99 * top)) != 0)


def test_large_predictions_stay_finite():
    value, slope = jax.value_and_grad(problem().smooth)(1e4 * jnp.ones(25))
    assert jnp.isfinite(value)
    assert jnp.all(jnp.isfinite(slope))
