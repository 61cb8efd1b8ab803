"""The certificate against closed forms and dense linear algebra, and what it must refuse."""

import importlib
import inspect
import pkgutil

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unrolljax as uj
import unrolljax.solvers
from experiments.certificate import campaign, maps, smooth, sparse
from unrolljax.core.solver import Solver
from unrolljax.gradients.certificate.curvature import extreme_eigenvalues
from unrolljax.lab.compilations import counted

QUADRATIC = smooth.quadratic(1e1, 70)
SYSTEMS = [
    smooth.quadratic(1e4, 70),
    smooth.lattice(4),
    sparse.lasso("support", 40, 80),
    maps.equilibrium(False, 0.8, 70),
    maps.non_normal(0.5, 0.9, 70),
]
TOLERANCES = [1e-2, 1e-4, 1e-6, 1e-8]


def certify(system, solver, **options):
    theta, x0 = jax.tree.map(jnp.asarray, (system.theta, system.x0))
    return uj.certify(system.outer, solver, system.problem_fn, theta, x0, **options)


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda s: s.name)
def test_estimates_are_within_a_factor_of_two_and_bounds_hold(system):
    name = list(system.solvers)[-1]
    one = system._replace(solvers={name: system.solvers[name]})
    exact = campaign.exact_gradient(one, one.solvers[name])
    cases = [
        campaign.certified(
            one, name, one.solvers[name], "implicit",
            uj.Implicit(tol=jnp.asarray(tol)), uj.Stop(100_000, tol), exact,
        )
        for tol in TOLERANCES
    ]  # fmt: skip
    counted = [case for case in cases if case.counts]
    assert len(counted) >= 2
    for case in counted:
        assert 0.5 <= case.ratio <= 2, case
        assert case.status == "CONVERGED"
        assert case.bound is None or case.bound >= case.error


@pytest.mark.parametrize(
    "gradient", [uj.Neumann(5), uj.Truncated(tol=0.1)], ids=lambda g: type(g).__name__
)
def test_modes_that_approximate_are_told_how_much(gradient):
    system = QUADRATIC
    solver = system.solvers["gradient descent"]
    exact = campaign.exact_gradient(system, solver)
    found = certify(system, solver, gradient=gradient, stop=uj.Stop(10_000, 1e-10))
    true = np.linalg.norm(found.gradient - exact) / np.linalg.norm(exact)
    assert true > 1e-3
    np.testing.assert_allclose(found.error, true, rtol=1e-2)


def test_an_unrolled_solve_that_did_not_end_is_measured_against_the_solution():
    system = QUADRATIC
    solver = system.solvers["gradient descent"]
    exact = campaign.exact_gradient(system, solver)
    found = certify(system, solver, gradient=uj.Unroll(), stop=uj.Stop(10, None))
    true = np.linalg.norm(found.gradient - exact) / np.linalg.norm(exact)
    np.testing.assert_allclose(found.error, true, rtol=1e-2)
    np.testing.assert_allclose(found.corrected, exact, rtol=1e-3)


def quartic(theta, x):
    """At theta = 0 its minimum has a vanishing Hessian, and no derivative."""
    return jnp.sum(x**4) / 4 - theta @ x


class Quartic(eqx.Module):
    def __call__(self, theta):
        return uj.Objective(quartic, theta)


def squared(theta, x):
    return jnp.sum((x - 1 + theta) ** 2)


@pytest.mark.parametrize("tol", [1e-3, 1e-6])
def test_a_singular_hessian_is_flagged_and_not_answered(tol):
    solver = uj.GradientDescent(0.1)
    stop = uj.Stop(100_000, tol)
    theta, x0 = jnp.zeros(2), jnp.ones(2)
    plain = jax.grad(lambda t: squared(t, uj.solve(solver, Quartic()(t), x0, stop=stop).value))
    assert np.all(np.isfinite(plain(theta)))  # a plausible number, and meaningless
    found = uj.certify(squared, solver, Quartic(), theta, x0, stop=stop)
    assert found.status == uj.Status.SINGULAR
    assert np.all(np.isnan(found.gradient))
    assert np.isinf(found.error)


def flat(theta, x):
    return (x[0] - theta[0]) ** 2 / 2 + 0 * x[1]


class Flat(eqx.Module):
    def __call__(self, theta):
        return uj.Objective(flat, theta)


def test_a_direction_without_curvature_is_a_status():
    found = uj.certify(squared, uj.GradientDescent(0.5), Flat(), jnp.ones(1), jnp.zeros(2))
    assert found.status == uj.Status.ADJOINT_BREAKDOWN
    assert np.isnan(found.gradient).all()
    assert np.isinf(found.error)


def test_a_failed_solve_has_its_own_status():
    system = SYSTEMS[0]
    solver = system.solvers["gradient descent"]
    found = certify(system, solver, stop=uj.Stop(5, 1e-10))
    assert found.status == uj.Status.MAX_STEPS
    assert np.isnan(found.gradient).all()
    assert np.isinf(found.error)
    assert "MAX_STEPS" in str(found)


def test_rate_and_curvature_are_those_of_the_quadratic():
    system = QUADRATIC
    scale = np.exp(system.theta[0])
    found = certify(system, uj.GradientDescent(1 / scale), stop=uj.Stop(10_000, 1e-10))
    np.testing.assert_allclose(found.rate, 0.9, atol=0.02)
    least, largest = found.curvature
    assert 0.1 * scale - 1e-12 <= least < 0.2 * scale
    np.testing.assert_allclose(largest, scale, rtol=1e-2)


def test_lanczos_finds_the_ends_of_a_small_spectrum():
    values = jnp.asarray([-1.0, 0.3, 2.0])
    least, largest = extreme_eigenvalues(lambda v: values * v, jnp.ones(3), 10)
    np.testing.assert_allclose((least, largest), (-1, 2), rtol=1e-12)


def test_one_program_serves_all_numbers_and_a_batch():
    system = QUADRATIC
    solver = system.solvers["L-BFGS"]

    def run(tol, theta):
        return uj.certify(
            system.outer, solver, system.problem_fn, theta, jnp.zeros(70),
            gradient=uj.Implicit(tol=tol), stop=uj.Stop(500, tol),
        )  # fmt: skip

    theta = jnp.asarray(system.theta)
    other = 0.9 * theta
    first = run(1e-4, theta)
    with counted() as compiled:
        second = run(1e-6, other)
    assert compiled.count == 0
    assert second.error < first.error
    batch = jax.vmap(lambda t: run(1e-4, t))(jnp.stack([theta, other]))
    np.testing.assert_allclose(batch.error[0], first.error, rtol=1e-6)


def test_single_precision_estimates_what_it_can():
    system = QUADRATIC
    solver = system.solvers["Nesterov"]
    exact = campaign.exact_gradient(system, solver)
    numbers = (system.outer, solver, system.problem_fn, jnp.asarray(system.theta), jnp.zeros(70))
    single = jax.tree.map(lambda v: jnp.asarray(v, jnp.float32), numbers)
    found = uj.certify(*single, stop=uj.Stop(10_000, 1e-3))
    true = np.linalg.norm(np.asarray(found.gradient) - exact) / np.linalg.norm(exact)
    np.testing.assert_allclose(found.error, true, rtol=0.1)


def test_a_loss_with_its_own_gradient():
    theta = {"a": jnp.asarray([1.0, 2.0]), "n": 3}
    gradient = {"a": jnp.asarray([5.0, 7.0]), "n": None}

    def loss(theta):
        return uj.with_gradient(jnp.asarray(4.0), gradient, theta)

    value, slope = eqx.filter_value_and_grad(loss)(theta)
    assert value == 4
    np.testing.assert_array_equal(slope["a"], [5, 7])


def test_the_second_round_cannot_be_saved():
    with pytest.raises(ValueError, match="max_rounds=1"):
        certify(QUADRATIC, uj.GradientDescent(0.1), max_rounds=1)


def test_the_campaign_has_every_solver():
    held = set()
    for module in pkgutil.iter_modules(unrolljax.solvers.__path__):
        loaded = importlib.import_module(f"unrolljax.solvers.{module.name}")
        for _, value in inspect.getmembers(loaded, inspect.isclass):
            if issubclass(value, Solver) and value.__module__ == loaded.__name__:
                held.add(value)
    used = {type(s) for system in campaign.systems(False) for s in system.solvers.values()}
    assert held <= used
