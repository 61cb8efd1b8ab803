"""Hypergradients against closed forms, their reports, and their failures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import ridge

import unrolljax as uj
from unrolljax import bilevel
from unrolljax.lab.compilations import counted

DESCENT = uj.GradientDescent(ridge.STEP_SIZE)
THETA, START = jnp.asarray(ridge.THETA), jnp.asarray(ridge.START)
STOP = uj.Stop(max_steps=5000, tol=1e-12)
CG = uj.Implicit(linear_solver="cg", tol=1e-12)


def of_ridge(theta, x0=START, **options):
    options = {"gradient": CG, "stop": STOP} | options
    return bilevel.hypergradient(ridge.outer, DESCENT, ridge.problem, theta, x0, **options)


def relative_error(gradient, theta):
    exact = ridge.exact(theta)[1]
    return np.linalg.norm(gradient - exact) / np.linalg.norm(exact)


def test_the_closed_form_is_right():
    def value(at):
        return ridge.exact(at)[0]

    steps = 1e-5 * np.eye(ridge.FEATURES)
    slopes = [(value(ridge.THETA + s) - value(ridge.THETA - s)) / 2e-5 for s in steps]
    np.testing.assert_allclose(slopes, ridge.exact(ridge.THETA)[1], atol=1e-9)


@pytest.mark.parametrize("gradient", [CG, uj.Implicit(), uj.Unroll()], ids=str)
def test_equals_the_closed_form(gradient):
    found = of_ridge(THETA, gradient=gradient)
    np.testing.assert_allclose(found.value, ridge.exact(THETA)[0], rtol=1e-10)
    np.testing.assert_allclose(found.gradient, ridge.exact(THETA)[1], rtol=1e-8)
    assert found.report.status == uj.Status.CONVERGED
    assert found.report.steps == found.solution.steps > 10
    assert found.report.error is None
    is_implicit = isinstance(gradient, uj.Implicit)
    assert (found.adjoint is None, found.report.adjoint_residual is None) == (not is_implicit,) * 2


def test_warm_starts_save_iterations_and_change_nothing_else():
    near = THETA + 1e-5
    before = of_ridge(THETA)
    cold = of_ridge(near)
    warm = of_ridge(near, before.solution.value, adjoint=before.adjoint)
    np.testing.assert_allclose(warm.gradient, cold.gradient, atol=1e-10)
    assert int(warm.report.steps) < 0.7 * int(cold.report.steps)
    assert 0 < warm.report.adjoint_steps <= cold.report.adjoint_steps
    looser = uj.Implicit(linear_solver="cg", tol=1e-9)
    again = of_ridge(THETA, before.solution.value, adjoint=before.adjoint, gradient=looser)
    assert again.report.adjoint_steps == 0
    assert again.report.steps <= 2


def test_the_estimated_error_is_the_true_one():
    loose = of_ridge(THETA, stop=uj.Stop(5000, 1e-4), certified=True)
    plain = of_ridge(THETA, stop=uj.Stop(5000, 1e-4))
    np.testing.assert_allclose(loose.gradient, plain.gradient, rtol=1e-12)
    true = relative_error(loose.gradient, THETA)
    assert 1e-6 < true < 1e-1
    assert 0.5 * true < loose.report.error < 2 * true
    assert loose.report.status == uj.Status.CONVERGED
    assert "relative error about" in str(loose)


def test_under_jit_and_vmap():
    thetas = jnp.stack([THETA, THETA - 0.3])
    found = jax.jit(jax.vmap(of_ridge))(thetas)
    for theta, gradient in zip(thetas, found.gradient, strict=True):
        np.testing.assert_allclose(gradient, ridge.exact(theta)[1], rtol=1e-8)
    assert found.report.steps.shape == found.report.status.shape == (2,)


def test_compiles_once():
    other, start, adjoint = THETA + 0.1, START + 0.1, START + 0.2
    gradient = uj.Implicit(linear_solver="cg", tol=1e-10)
    of_ridge(THETA, adjoint=START)
    with counted() as compilations:
        of_ridge(other, start, adjoint=adjoint, gradient=gradient, stop=uj.Stop(5000, 1e-9))
    assert compilations.count == 0


def test_functions_may_close_over_traced_arrays():
    @jax.jit
    def scaled(factor, theta):
        return bilevel.hypergradient(
            lambda theta, x: factor * ridge.outer(theta, x),
            DESCENT,
            lambda theta: uj.Objective(ridge.inner, theta + factor - factor),
            theta,
            START,
            stop=STOP,
        ).gradient

    gradient = scaled(jnp.asarray(3.0), THETA)
    np.testing.assert_allclose(gradient, 3 * ridge.exact(THETA)[1], rtol=1e-8)


def test_only_inexact_leaves_have_a_gradient():
    def problem(theta):
        return ridge.problem(theta["weights"])

    def outer(theta, x):
        return ridge.outer(theta["weights"], x) * theta["count"].astype(x.dtype)

    theta = {"weights": THETA, "count": jnp.asarray(2)}
    found = bilevel.hypergradient(outer, DESCENT, problem, theta, START, stop=STOP)
    assert found.gradient["count"] is None
    np.testing.assert_allclose(found.gradient["weights"], 2 * ridge.exact(THETA)[1], rtol=1e-8)


def test_float32():
    single = THETA.astype(jnp.float32)
    found = of_ridge(
        single, START.astype(jnp.float32), gradient=uj.Implicit(), stop=uj.Stop(5000, 1e-6)
    )
    assert found.gradient.dtype == jnp.float32
    np.testing.assert_allclose(found.gradient, ridge.exact(THETA)[1], rtol=1e-3)


def test_a_second_derivative_is_refused():
    slope = jax.grad(lambda theta: of_ridge(theta).value)(THETA)
    assert np.all(np.isnan(slope))


def unbounded(theta):
    return uj.Objective(lambda theta, x: jnp.sum(theta * x - x**2) / 2, theta)


def flat(theta):
    return uj.Objective(lambda theta, x: (x[0] - theta[0]) ** 2 / 2, theta)


@pytest.mark.parametrize("certified", [False, True])
@pytest.mark.parametrize(
    ("problem", "status"),
    [(unbounded, uj.Status.DIVERGED), (flat, uj.Status.ADJOINT_BREAKDOWN)],
)
def test_failures_are_a_status_and_nan(problem, status, certified):
    found = bilevel.hypergradient(
        ridge.outer, uj.GradientDescent(0.5), problem, THETA, START, certified=certified
    )
    assert found.report.status == status
    assert np.all(np.isnan(found.gradient))
    assert not (certified and np.isfinite(found.report.error))
    assert status.name in str(found)


def test_a_singular_minimum_is_flagged_by_the_certificate():
    def quartic(theta):
        return uj.Objective(lambda theta, x: jnp.sum((x - theta) ** 4), theta)

    newton = uj.solvers.Newton()
    found = bilevel.hypergradient(
        ridge.outer, newton, quartic, THETA - 2, START, stop=uj.Stop(200, 1e-6), certified=True
    )
    assert found.report.status == uj.Status.SINGULAR
    assert np.all(np.isnan(found.gradient))


def test_a_gradient_that_is_not_finite_is_named():
    def outer(theta, x):
        return jnp.sum(jnp.sqrt(theta - theta[0]) + x)

    found = bilevel.hypergradient(outer, DESCENT, ridge.problem, THETA, START, stop=STOP)
    assert found.report.status == uj.Status.NONFINITE


def test_an_adjoint_without_an_adjoint_solve_is_refused():
    with pytest.raises(ValueError, match="is a warm start of an adjoint solve"):
        of_ridge(THETA, adjoint=START, gradient=uj.Unroll())
