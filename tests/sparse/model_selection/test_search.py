"""Criteria, hypergradients and searches, against differences, fine grids and theory."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import lasso_path

import unrolljax as uj
from unrolljax import sparse
from unrolljax.core.status import Status
from unrolljax.lab.compilations import counted
from unrolljax.sparse import model_selection as ms
from unrolljax.sparse.model_selection.designs import correlated

DESIGN = correlated(90, 60, 6, 0.5, 3.0, seed=0)
TRAINING, VALIDATION = DESIGN.part(0, 50), DESIGN.part(50, 90)
TOP = float(np.max(np.abs(TRAINING.A.T @ TRAINING.y)))
STOP = uj.Stop(50, 1e-12)
MACHINERY = ms.Machinery(ms.WorkingSet(50), ms.SupportAdjoint(50), STOP)


def net(part, ridge=1.0):
    arrays = (part.A, part.y, np.asarray(1.0), np.asarray(ridge))
    return sparse.ElasticNet(*map(jnp.asarray, arrays))


HOLD_OUT = ms.HoldOut(net(TRAINING), net(VALIDATION))
PLAIN = ms.HoldOut(net(TRAINING, 0.0), net(VALIDATION, 0.0))
CRITERIA = {
    "hold-out": HOLD_OUT,
    "folds": ms.CrossValidation.split(net(TRAINING), 3),
    "sure": ms.SURE.with_noise(net(TRAINING), DESIGN.sigma, jax.random.key(0)),
}
SCALAR = ms.Penalties(jnp.log(TOP / 9), jnp.asarray(0.3))
VECTOR = ms.Penalties(jnp.log(TOP / 9) + jnp.linspace(-0.3, 0.3, 60))


@pytest.mark.parametrize(
    ("name", "theta"),
    [("hold-out", SCALAR), ("folds", SCALAR), ("sure", SCALAR), ("hold-out", VECTOR)],
    ids=["hold-out", "folds", "sure", "weighted"],
)
def test_a_hypergradient_is_that_of_differences(name, theta):
    criterion = CRITERIA[name]
    random = np.random.default_rng(1)
    along = jax.tree.map(lambda v: jnp.asarray(random.standard_normal(v.shape)), theta)
    x = jnp.zeros((criterion.parts, 60))
    found = ms.hypergradient(criterion, theta, x, MACHINERY)
    assert found.good
    slope = sum(map(jnp.vdot, jax.tree.leaves(found.gradient), jax.tree.leaves(along)))

    def moved(h):
        there = jax.tree.map(lambda v, d: v + h * d, theta, along)
        return ms.hypergradient(criterion, there, found.x, MACHINERY).value

    np.testing.assert_allclose(slope, (moved(1e-4) - moved(-1e-4)) / 2e-4, rtol=1e-6)


def test_a_search_is_as_good_as_a_fine_grid_and_compiles_once():
    grid = ms.log_grid(TOP, 1e-2, 8)
    found = ms.search(PLAIN, grid, capacity=40)
    _, path, _ = lasso_path(TRAINING.A, TRAINING.y, alphas=TOP / 50 * np.geomspace(1, 1e-2, 200))
    losses = np.mean((VALIDATION.y[:, None] - VALIDATION.A @ path) ** 2, axis=0) / 2
    assert found.status == Status.CONVERGED
    assert found.value <= 1.001 * losses.min()
    assert found.evaluations < 25
    with counted() as compiled:
        again = ms.search(PLAIN, jax.tree.map(lambda v: v + 0.1, grid), capacity=40)
    assert compiled.count <= 2  # of the comparisons that check the grid
    assert again.value <= 1.01 * losses.min()


def test_a_capacity_grows_with_the_support():
    found = ms.search(PLAIN, ms.log_grid(TOP, 1e-2, 8), capacity=12)
    assert found.status == Status.CONVERGED
    assert found.capacity in (24, 48)
    assert 12 < found.support <= found.capacity


def test_from_the_largest_penalty_on_all_is_zero_and_the_search_says_so():
    grid = ms.Penalties(jnp.log(TOP) + jnp.asarray([[1.0, 0.5]]))
    found = ms.search(PLAIN, grid, capacity=40)
    assert found.status == Status.CONVERGED
    assert found.support == 0
    assert found.gradient.weight == 0
    np.testing.assert_allclose(found.value, np.mean(VALIDATION.y**2) / 2)


def test_descent_on_all_the_weights_improves_on_the_best_common_one():
    common = ms.search(PLAIN, ms.log_grid(TOP, 1e-2, 8), capacity=40)
    start = ms.Penalties(jnp.full((1, 1, 60), common.theta.weight))
    each = ms.search(PLAIN, start, capacity=40)
    assert each.value < 0.9 * common.value
    nonzero = np.isfinite(each.values)
    assert each.value <= np.min(np.asarray(each.values)[nonzero])


def test_stein_estimates_are_unbiased():
    n, p, draws, sigma = 30, 20, 300, 1.0
    design = correlated(n, p, 4, 0.3, 2.0, seed=3)
    mean = jnp.asarray(design.A @ design.truth)
    theta = ms.Penalties(jnp.log(6.0))
    machinery = ms.Machinery(ms.WorkingSet(p), ms.SupportAdjoint(p), uj.Stop(50, 1e-9))

    @jax.jit
    def draw(key):
        noise, probe = jax.random.split(key)
        y = mean + sigma * jax.random.normal(noise, (n,))
        problem = sparse.Lasso(jnp.asarray(design.A), y, jnp.ones(()))
        criterion = ms.SURE.with_noise(problem, sigma, probe)
        # The recommended step trades variance for a bias of one degree of freedom here.
        criterion = dataclasses.replace(criterion, step=0.1 * criterion.step)
        found = machinery.evaluate(criterion, theta, jnp.zeros((2, p)))
        fit = problem.A @ found.x[0]
        moved = problem.A @ found.x[1] - fit
        dof = jnp.sum(criterion.probe * moved) / criterion.step
        exact = ms.degrees_of_freedom(problem, found.x[0])
        exact = exact.astype(dof.dtype)
        risk = jnp.mean((fit - mean) ** 2)
        misfit = jnp.mean((y - fit) ** 2)
        zou = misfit + sigma**2 * (2 * exact / n - 1)
        return found.value - risk, dof - exact, zou - risk

    keys = jax.random.split(jax.random.key(1), draws)
    for difference in jax.lax.map(draw, keys):
        assert abs(np.mean(difference)) < 3 * np.std(difference) / np.sqrt(draws)
        assert np.std(difference) < 4


def test_inputs_that_cannot_work_are_refused():
    grid = ms.log_grid(TOP, 1e-2, 3)
    with pytest.raises(ValueError, match="capacity=0"):
        ms.search(PLAIN, grid, capacity=0)
    with pytest.raises(ValueError, match="two leading axes"):
        ms.search(PLAIN, ms.Penalties(jnp.zeros(3)))
    with pytest.raises(ValueError, match="not finite"):
        ms.search(PLAIN, ms.Penalties(jnp.full((1, 3), jnp.nan)))
    broken = sparse.Lasso(jnp.ones((50, 60)), jnp.full(50, jnp.nan), 1.0)
    with pytest.raises(ValueError, match="NaN or infinity in y"):
        ms.search(ms.CrossValidation.split(broken, 2), grid)
    with pytest.raises(ValueError, match="must be of class ElasticNet"):
        ms.HoldOut(net(TRAINING), sparse.Lasso(jnp.ones((2, 60)), jnp.ones(2), 1.0))
    with pytest.raises(ValueError, match="has 3 columns"):
        ms.HoldOut(net(TRAINING), sparse.ElasticNet(jnp.ones((2, 3)), jnp.ones(2), 1.0))
    with pytest.raises(ValueError, match="folds=1"):
        ms.CrossValidation.split(net(TRAINING), 1)
    with pytest.raises(ValueError, match="needs a problem with a ridge"):
        SCALAR.of(sparse.Lasso(jnp.ones((2, 2)), jnp.ones(2), 1.0))
