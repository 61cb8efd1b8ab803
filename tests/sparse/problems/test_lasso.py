"""Duality gaps and the largest weight, against closed forms and scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import linear_model

import unrolljax as uj
from unrolljax import sparse

rng = np.random.default_rng(0)
A = rng.standard_normal((30, 50))
Y = A @ np.where(rng.random(50) < 0.1, rng.standard_normal(50), 0) + 0.1 * rng.standard_normal(30)


def solved(problem, steps=20000):
    solver = uj.solvers.ProximalGradient(1 / (np.linalg.norm(A, 2) ** 2 + 1), accelerated=True)
    stop = uj.Stop(steps, tol=1e-13)
    return uj.solve(solver, problem, jnp.zeros(50), stop=stop).raise_if_failed().value


PROBLEMS = {
    "lasso": sparse.Lasso(jnp.asarray(A), jnp.asarray(Y), 2.0),
    "weighted": sparse.Lasso(jnp.asarray(A), jnp.asarray(Y), jnp.linspace(0.5, 4.0, 50)),
    "elastic net": sparse.ElasticNet(jnp.asarray(A), jnp.asarray(Y), 2.0, 0.5),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_gap_bounds_the_suboptimality_and_closes(name):
    problem = PROBLEMS[name]
    best = solved(problem)
    rough = best + 0.01 * jnp.asarray(rng.standard_normal(50))
    assert problem.duality_gap(best) < 1e-7 * problem.objective(best)
    assert problem.duality_gap(rough) >= problem.objective(rough) - problem.objective(best)
    zero = jnp.zeros(50)
    assert problem.duality_gap(zero) >= problem.objective(zero) - problem.objective(best)


def test_solutions_are_those_of_scikit_learn():
    lasso = linear_model.Lasso(2 / 30, fit_intercept=False, tol=1e-12, max_iter=100000).fit(A, Y)
    np.testing.assert_allclose(solved(PROBLEMS["lasso"]), lasso.coef_, atol=1e-8)
    net = linear_model.ElasticNet(
        2.5 / 30, l1_ratio=0.8, fit_intercept=False, tol=1e-12, max_iter=100000
    ).fit(A, Y)
    np.testing.assert_allclose(solved(PROBLEMS["elastic net"]), net.coef_, atol=1e-8)


def test_from_the_largest_weight_on_the_solution_is_zero():
    lasso = PROBLEMS["lasso"]
    factor = lasso.largest_weight()
    assert jnp.all(solved(sparse.Lasso(lasso.A, lasso.y, 1.0001 * factor * 2.0), 100) == 0)
    assert jnp.any(solved(sparse.Lasso(lasso.A, lasso.y, 0.99 * factor * 2.0)) != 0)


def test_with_an_unpenalised_unknown_the_bound_is_the_objective_itself():
    problem = sparse.Lasso(jnp.eye(2), jnp.ones(2), jnp.array([0.0, 1.0]))
    assert jnp.allclose(problem.duality_gap(jnp.zeros(2)), problem.objective(jnp.zeros(2)))
    assert jnp.allclose(problem.duality_gap(jnp.array([1.0, 0.0])), 0.0)


def test_a_gap_has_derivatives():
    gap = jax.grad(PROBLEMS["lasso"].duality_gap)(jnp.ones(50))
    assert jnp.all(jnp.isfinite(gap))
