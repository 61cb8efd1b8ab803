"""Working sets and adjoints on the support, against other solvers, modes and differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import unrolljax as uj
from unrolljax import sparse
from unrolljax.core.status import Status
from unrolljax.lab.compilations import counted
from unrolljax.sparse.model_selection import SupportAdjoint, WorkingSet
from unrolljax.sparse.model_selection.adjoint import pull_back
from unrolljax.sparse.problems.logistic import SparseLogistic

rng = np.random.default_rng(0)
SAMPLES, FEATURES = 40, 90
A = rng.standard_normal((SAMPLES, FEATURES))
A[:, 1:] += 0.5 * A[:, :-1]
TRUTH = np.where(np.arange(FEATURES) % 15 == 3, 2.0, 0.0)
Y = A @ TRUTH + 0.3 * rng.standard_normal(SAMPLES)
TARGET = jnp.asarray(rng.standard_normal(FEATURES))
ZERO = jnp.zeros(FEATURES)
STOP = uj.Stop(50, 1e-11)
CAPACITY = 40
SOLVER = WorkingSet(CAPACITY)


def lasso(weight=6.0, A=A):
    return sparse.Lasso(jnp.asarray(A), jnp.asarray(Y), jnp.asarray(weight))


def net(weight=6.0, ridge=2.0):
    return sparse.ElasticNet(
        jnp.asarray(A), jnp.asarray(Y), jnp.asarray(weight), jnp.asarray(ridge)
    )


def logistic(weight=1.5, ridge=0.1):
    labels = jnp.where(jnp.asarray(Y) > 0, 1.0, -1.0)
    return SparseLogistic(jnp.asarray(A), labels, jnp.asarray(weight), jnp.asarray(ridge))


WEIGHTS = np.linspace(4.0, 9.0, FEATURES)
WEIGHTS[7] = 0.0
PROBLEMS = {"lasso": lasso(), "weighted": lasso(WEIGHTS), "net": net(), "logistic": logistic()}


def proximal(problem):
    curvature = np.linalg.norm(A, 2) ** 2 * (0.25 if problem is PROBLEMS["logistic"] else 1) + 2
    return uj.solvers.ProximalGradient(1 / float(curvature), accelerated=True)


@pytest.mark.parametrize("name", PROBLEMS)
def test_it_finds_what_proximal_gradient_finds(name):
    problem = PROBLEMS[name]
    found = uj.solve(SOLVER, problem, ZERO, stop=STOP).raise_if_failed()
    slow = uj.solve(proximal(problem), problem, ZERO, stop=uj.Stop(20000, 1e-13)).raise_if_failed()
    np.testing.assert_allclose(found.value, slow.value, atol=1e-9)
    assert found.steps < 8
    assert 2 < np.sum(found.value != 0) < CAPACITY


@pytest.mark.parametrize("name", PROBLEMS)
def test_all_gradients_agree(name):
    problem = PROBLEMS[name]

    def gradient(mode, solver=SOLVER, stop=STOP):
        def loss(problem):
            x = uj.solve(solver, problem, ZERO, gradient=mode, stop=stop).value
            return jnp.sum((x - TARGET) ** 2)

        return jax.grad(loss)(problem)

    direct = gradient(SupportAdjoint(CAPACITY))
    generic = gradient(uj.Implicit(capacity=CAPACITY, tol=1e-13))
    _assert_alike(direct, generic, 1e-10)
    if name == "weighted":
        unrolled = gradient(uj.Unroll(), proximal(problem), uj.Stop(1000, None))
        _assert_alike(direct, unrolled, 1e-6)


def _assert_alike(ours, theirs, tol):
    for a, b in zip(*map(jax.tree.leaves, (ours, theirs)), strict=True):
        np.testing.assert_allclose(a, b, rtol=tol, atol=tol * np.max(np.abs(b)))


@pytest.mark.parametrize("name", ["weighted", "logistic"])
def test_the_gradient_is_that_of_differences(name):
    problem = PROBLEMS[name]
    direction = jax.tree.map(lambda v: jnp.asarray(rng.standard_normal(v.shape)), problem)
    if name == "weighted":  # an unpenalised unknown stays one
        direction = type(problem)(
            direction.A, direction.y, jnp.where(problem.weight > 0, direction.weight, 0)
        )

    def loss(step):
        moved = jax.tree.map(lambda v, d: v + step * d, problem, direction)
        found = uj.solve(SOLVER, moved, ZERO, gradient=SupportAdjoint(CAPACITY), stop=STOP)
        return jnp.sum((found.value - TARGET) ** 2)

    slope = jax.grad(loss)(0.0)
    np.testing.assert_allclose(slope, (loss(1e-6) - loss(-1e-6)) / 2e-6, rtol=1e-6)


def test_unnormalised_columns_change_nothing_but_units():
    scale = 10.0 ** rng.uniform(-3, 3, FEATURES)
    plain = uj.solve(SOLVER, lasso(WEIGHTS), ZERO, stop=STOP).raise_if_failed()
    scaled = lasso(WEIGHTS * scale, A * scale)
    found = uj.solve(SOLVER, scaled, ZERO, stop=STOP).raise_if_failed()
    np.testing.assert_allclose(found.value * scale, plain.value, atol=1e-9)


def test_unnormalised_columns_with_one_weight_are_solved():
    scale = 10.0 ** rng.uniform(-2, 2, FEATURES)
    problem = lasso(6.0, A * scale)
    found = uj.solve(SOLVER, problem, ZERO, stop=STOP).raise_if_failed()
    assert problem.duality_gap(found.value) < 1e-9 * problem.objective(ZERO)


def test_a_support_that_does_not_fit_is_named():
    small = SupportAdjoint(3)

    def loss(weight, solver):
        found = uj.solve(solver, lasso(weight), ZERO, gradient=small, stop=STOP)
        return jnp.sum(found.value**2), found

    for solver in (WorkingSet(3), SOLVER):
        slope, found = jax.grad(loss, has_aux=True)(2.0, solver)
        assert found.status == Status.CAPACITY_EXCEEDED
        assert jnp.isnan(slope)
        assert found.steps < 8
    generic = uj.Implicit(capacity=3)
    assert jnp.isnan(
        jax.grad(
            lambda w: jnp.sum(uj.solve(SOLVER, lasso(w), ZERO, gradient=generic, stop=STOP).value)
        )(2.0)
    )


def test_from_the_largest_weight_on_solution_and_gradient_are_zero():
    top = PROBLEMS["lasso"].largest_weight()

    def loss(factor):
        problem = lasso(factor * top * 1.0000001)
        found = uj.solve(SOLVER, problem, ZERO, gradient=SupportAdjoint(CAPACITY), stop=STOP)
        return jnp.sum((found.value - TARGET) ** 2), found

    slope, found = jax.grad(loss, has_aux=True)(6.0)
    assert found.status == Status.CONVERGED
    assert jnp.all(found.value == 0)
    assert slope == 0


def test_duplicate_columns_are_solved_but_have_no_derivative():
    twins = np.concatenate([A, A], axis=1)
    problem = lasso(6.0, twins)
    x0 = jnp.where(jnp.arange(2 * FEATURES) % 5 == 0, 0.1, 0.0)

    def loss(weight):
        problem = lasso(weight, twins)
        found = uj.solve(WorkingSet(48), problem, x0, gradient=SupportAdjoint(48), stop=STOP)
        return jnp.sum(found.value * jnp.concatenate([TARGET, -TARGET])), found

    slope, found = jax.grad(loss, has_aux=True)(6.0)
    found.raise_if_failed()
    assert problem.duality_gap(found.value) < 1e-8 * problem.objective(0 * x0)
    both = (found.value[:FEATURES] != 0) & (found.value[FEATURES:] != 0)
    assert jnp.any(both)
    assert jnp.isnan(slope)
    _, _, report = pull_back(problem, found.value, found.value, 48)
    assert report.status == Status.ADJOINT_BREAKDOWN


def test_it_agrees_with_scikit_learn_on_classification():
    problem = logistic(1.5, 0.1)
    found = uj.solve(SOLVER, problem, ZERO, stop=STOP).raise_if_failed().value
    theirs = LogisticRegression(
        l1_ratio=1.5 / 1.6, C=1 / 1.6, solver="saga", fit_intercept=False, tol=1e-12, max_iter=50000
    ).fit(A, np.where(Y > 0, 1, -1))
    np.testing.assert_allclose(found, theirs.coef_[0], atol=1e-6)


def test_new_numbers_compile_nothing():
    mode = SupportAdjoint(CAPACITY)
    solve = jax.jit(
        jax.grad(
            lambda w: jnp.sum(uj.solve(SOLVER, lasso(w), ZERO, gradient=mode, stop=STOP).value)
        )
    )
    solve(6.0)
    with counted() as compiled:
        solve(5.0)
        uj.solve(SOLVER, PROBLEMS["net"], ZERO, stop=STOP)
        uj.solve(SOLVER, net(5.0, 1.0), ZERO, stop=STOP)
    assert compiled.count <= 1


def test_it_solves_in_single_precision():
    single = jax.tree.map(lambda v: v.astype(jnp.float32), PROBLEMS["lasso"])
    found = uj.solve(SOLVER, single, ZERO.astype(jnp.float32), stop=uj.Stop(50, 1e-4))
    exact = uj.solve(SOLVER, PROBLEMS["lasso"], ZERO, stop=STOP).value
    np.testing.assert_allclose(found.raise_if_failed().value, exact, atol=1e-4)


@pytest.mark.parametrize("make", [WorkingSet, SupportAdjoint])
def test_a_capacity_of_nothing_is_refused(make):
    with pytest.raises(ValueError, match=f"{make.__name__}\\(capacity=0\\)"):
        make(0)


def test_steps_are_not_taped():
    with pytest.raises(ValueError, match="Use gradient=Implicit"):
        uj.solve(SOLVER, PROBLEMS["lasso"], ZERO, gradient=uj.Unroll(), stop=STOP)


def test_groups_are_refused():
    problem = sparse.GroupLasso(jnp.asarray(A), jnp.asarray(Y), 6.0, sparse.Blocks(3))
    with pytest.raises(ValueError, match="no GroupLasso: use ProximalGradient"):
        uj.solve(SOLVER, problem, ZERO, stop=STOP)
