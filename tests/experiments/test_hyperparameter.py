"""The elastic net against scikit-learn's; its hypergradient against differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unrolljax as uj
from experiments.hyperparameter.baseline import grid_search
from experiments.hyperparameter.data import load
from experiments.hyperparameter.problem import Data, Model, Penalties, Training, Validation
from unrolljax import bilevel


@pytest.fixture(scope="module")
def diabetes():
    table = load("diabetes", 1, 3, 0.3, 0)
    data = Data(*map(jnp.asarray, (table.A, table.y, table.powers * 1.0)), False)
    return table, data


def solver_of(table):
    seen = table.fold >= 0
    curvature = np.linalg.norm(np.c_[table.A, np.ones(len(table.y))][seen], 2) ** 2 / seen.sum()
    return uj.solvers.ProximalGradient(0.5 / float(curvature), accelerated=True)


def test_the_fit_is_scikit_learns(diabetes):
    from sklearn.linear_model import ElasticNet

    table, data = diabetes
    seen = table.fold >= 0
    l1, l2 = 0.05, 0.02
    theirs = ElasticNet(alpha=l1 + l2, l1_ratio=l1 / (l1 + l2), tol=1e-12, max_iter=100_000)
    theirs.fit(table.A[seen], table.y[seen])
    penalties = Penalties(jnp.log(l1), jnp.log(l2), jnp.zeros(10))
    problem = Training(data, jnp.asarray(seen))(penalties)
    start = Model(jnp.zeros(()), jnp.zeros(10))
    stop = uj.Stop(20_000, 1e-12)
    ours = uj.solve(solver_of(table), problem, start, gradient=uj.Detach(), stop=stop).value
    np.testing.assert_allclose(ours.weights, theirs.coef_, atol=1e-8)
    np.testing.assert_allclose(ours.intercept, theirs.intercept_, atol=1e-8)
    assert 0 < np.sum(theirs.coef_ == 0) < 10


def test_the_hypergradient_agrees_with_differences(diabetes):
    table, data = diabetes
    validated = jnp.asarray(table.fold == 0)
    outer = Validation(data, validated, jnp.asarray(1e-3))
    training = Training(data, jnp.asarray(table.fold > 0))
    start = Model(jnp.zeros(()), jnp.zeros(10))
    random = np.random.default_rng(0)
    shares, direction = jnp.asarray(random.normal(size=(2, 10)) / 3)
    penalties = Penalties(jnp.log(0.05), jnp.log(0.02), shares)

    def found(penalties):
        return bilevel.hypergradient(
            outer, solver_of(table), training, penalties, start,
            gradient=uj.Implicit(tol=1e-10), stop=uj.Stop(20_000, 1e-12),
        )  # fmt: skip

    def moved(h):
        return found(jax.tree.map(lambda p, d: p + h * d, penalties, along)).value

    along = Penalties(jnp.asarray(0.3), jnp.asarray(-0.2), direction)
    slope = sum(jnp.vdot(g, d) for g, d in zip(found(penalties).gradient, along, strict=True))
    np.testing.assert_allclose(slope, (moved(1e-5) - moved(-1e-5)) / 2e-5, rtol=1e-5)


def test_the_grid_search_finds_a_model_that_predicts(diabetes):
    table, data = diabetes
    search = grid_search(table, False, 5)
    assert search.fits == 60
    model = Model(jnp.asarray(search.intercept), jnp.asarray(search.weights))
    test = jnp.asarray(table.fold < 0)
    assert data.loss(model, test) < 0.7 * data.loss(jax.tree.map(jnp.zeros_like, model), test)
    assert 0.2 < search.validation < 0.4
