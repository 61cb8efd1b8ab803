"""The group lasso against closed forms, the lasso, differences and its own optimality."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unrolljax as uj
from unrolljax import sparse
from unrolljax.sparse.partition import Blocks, Entries, Groups
from unrolljax.sparse.problems.group_lasso import GroupLasso

rng = np.random.default_rng(1)
LABELS = np.array([0, 2, 1, 1, 2, 0, 2, 3, 3, 1, 2, 4])
A = jnp.asarray(rng.standard_normal((9, 12)))
Y = jnp.asarray(A @ np.where(LABELS < 2, rng.standard_normal(12), 0) + 0.1 * rng.standard_normal(9))
WEIGHTS = jnp.asarray([0.5, 2.0, 1.0, 1.5, 0.7])
SOLVER = uj.solvers.ProximalGradient(0.9 / float(jnp.linalg.norm(A, 2)) ** 2, accelerated=True)
PROBLEMS = {
    "blocks": GroupLasso(A, Y, 1.0, Blocks(3)),
    "groups of different sizes": GroupLasso(A, Y, WEIGHTS, Groups(LABELS)),
}


TIGHT = uj.Stop(20_000, 1e-13)


def solved(problem, gradient=None, stop=TIGHT):
    found = uj.solve(SOLVER, problem, jnp.zeros(problem.A.shape[1]), gradient=gradient, stop=stop)
    return found.raise_if_failed().value


@pytest.mark.parametrize("partition", [Blocks(3), Groups(np.repeat([1, 0, 2, 3], 3))])
def test_with_orthonormal_columns_each_group_is_shrunk_by_its_weight(partition):
    Q = jnp.asarray(np.linalg.qr(rng.standard_normal((20, 12)))[0])
    y = jnp.asarray(rng.standard_normal(20))
    weight = jnp.asarray([0.3, 0.6, 5.0, 0.1])
    solver = uj.solvers.ProximalGradient(0.9)
    problem = GroupLasso(Q, y, weight, partition)
    found = uj.solve(solver, problem, jnp.zeros(12), stop=uj.Stop(500, 1e-13)).raise_if_failed()
    correlation = np.asarray(Q.T @ y)
    expected = np.zeros(12)
    for group, members in enumerate(partition.members(12)):
        norm = np.linalg.norm(correlation[members])
        expected[members] = correlation[members] * max(0, 1 - weight[group] / norm)
    assert np.any(expected == 0)
    np.testing.assert_allclose(found.value, expected, atol=1e-12)
    np.testing.assert_array_equal(problem.support(found.value), expected != 0)


@pytest.mark.parametrize("partition", [Entries(), Blocks(1), Groups(np.arange(12)[::-1].copy())])
def test_groups_of_one_make_it_the_lasso(partition):
    group, lasso = GroupLasso(A, Y, 0.8, partition), sparse.Lasso(A, Y, 0.8)
    x = solved(group)
    np.testing.assert_allclose(x, solved(lasso), atol=1e-10)
    rough = x + 0.1
    for name in ("objective", "penalty", "duality_gap", "dual_norm", "support"):
        np.testing.assert_allclose(getattr(group, name)(rough), getattr(lasso, name)(rough))
    np.testing.assert_allclose(group.prox(rough, 0.1), lasso.prox(rough, 0.1))
    np.testing.assert_allclose(group.largest_weight(), lasso.largest_weight())


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_gap_bounds_the_suboptimality_and_closes(name):
    problem = PROBLEMS[name]
    best = solved(problem)
    assert 0 < np.sum(np.asarray(best) == 0) < 12
    assert problem.duality_gap(best) < 1e-10 * problem.objective(best)
    for rough in (jnp.zeros(12), best + 0.01, 1.1 * best):
        assert problem.duality_gap(rough) >= problem.objective(rough) - problem.objective(best)


@pytest.mark.parametrize("name", PROBLEMS)
def test_from_the_largest_weight_on_the_solution_is_zero(name):
    problem = PROBLEMS[name]
    factor = problem.largest_weight()
    above, below = (
        GroupLasso(A, Y, share * factor * problem.weight, problem.partition)
        for share in (1.0001, 0.999)
    )
    assert jnp.all(solved(above) == 0)
    assert jnp.any(solved(below) != 0)


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_prox_is_the_minimiser_it_claims_to_be(name):
    problem = PROBLEMS[name]
    v = jnp.asarray(2 * rng.standard_normal(12))
    found = problem.prox(v, 0.5)

    def merit(x):
        return jnp.sum((x - v) ** 2) / 2 + 0.5 * problem.penalty(x)

    for _ in range(50):
        nearby = found + 1e-2 * jnp.asarray(rng.standard_normal(12))
        assert merit(nearby) > merit(found)


@pytest.mark.parametrize("name", PROBLEMS)
def test_implicit_unrolled_and_difference_gradients_agree(name):
    problem, direction = PROBLEMS[name], jnp.asarray(rng.standard_normal(12))

    def loss(factor, gradient, stop):
        moved = GroupLasso(A, factor * Y, problem.weight / factor, problem.partition)
        return solved(moved, gradient, stop) @ direction

    implicit = jax.grad(loss)(1.0, uj.Implicit(tol=1e-12), TIGHT)
    unrolled = jax.grad(loss)(1.0, uj.Unroll(), uj.Stop(3000, None))
    differences = (loss(1 + 1e-6, uj.Detach(), TIGHT) - loss(1 - 1e-6, uj.Detach(), TIGHT)) / 2e-6
    np.testing.assert_allclose(implicit, unrolled, rtol=1e-7)
    np.testing.assert_allclose(implicit, differences, rtol=1e-6)


def test_derivatives_are_finite_where_groups_are_zero():
    problem = PROBLEMS["groups of different sizes"]
    zero = jnp.zeros(12)
    for function in (problem.objective, problem.duality_gap, lambda x: problem.prox(x, 0.1)[0]):
        assert jnp.all(jnp.isfinite(jax.grad(function)(zero)))


def test_an_unpenalised_group_is_free_and_in_the_support():
    problem = GroupLasso(A, Y, jnp.asarray([0.0, 50.0, 50.0, 50.0]), Blocks(3))
    x = solved(problem)
    expected = np.linalg.lstsq(np.asarray(A[:, :3]), np.asarray(Y), rcond=None)[0]
    np.testing.assert_allclose(x[:3], expected, atol=1e-10)
    np.testing.assert_array_equal(problem.support(jnp.zeros(12)), np.arange(12) < 3)
