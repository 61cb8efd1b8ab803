"""Outer runs against scipy on the closed form; resuming, latching, schedules, projections."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import ridge
import scipy.optimize
from jax.tree_util import Partial

import unrolljax as uj
from unrolljax import bilevel
from unrolljax.lab.compilations import counted

DESCENT = uj.GradientDescent(ridge.STEP_SIZE)
THETA, START = jnp.asarray(ridge.THETA), jnp.asarray(ridge.START)
STOP = uj.Stop(max_steps=5000, tol=1e-10)
CG = uj.Implicit(linear_solver="cg", tol=1e-10)
SCHEDULE = bilevel.Geometric(1e-2, 0.5, 1e-10)
SGD = Partial(optax.sgd, 0.5)


def of_ridge(theta=THETA, steps=10, **options):
    options = {"gradient": CG, "stop": STOP, "optimizer": SGD} | options
    return bilevel.minimize(
        ridge.outer, DESCENT, ridge.problem, theta, START, steps=steps, **options
    )


def best(bounds=None):
    found = scipy.optimize.minimize(
        ridge.exact, ridge.THETA, jac=True, method="L-BFGS-B", bounds=bounds,
        options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 10000},
    )  # fmt: skip
    return found.x, found.fun


def same(a, b):
    return all(map(np.array_equal, jax.tree.leaves(a), jax.tree.leaves(b)))


def test_finds_the_minimum_that_scipy_finds():
    found = of_ridge(steps=400, stationary=1e-8, tolerance=SCHEDULE)
    theta, value = best()
    assert found.status == uj.Status.CONVERGED
    found.raise_if_failed()
    taken = int(found.state.step)
    assert taken < 400
    np.testing.assert_allclose(found.theta, theta, atol=1e-6)
    np.testing.assert_allclose(found.history.value[taken], value, rtol=1e-9)
    assert found.history.stationarity[taken] <= 1e-8 < found.history.stationarity[taken - 1]
    assert np.all(found.history.status[: taken + 1] == uj.Status.CONVERGED)
    assert np.all(found.history.status[taken + 1 :] == uj.Status.RUNNING)
    assert np.all(np.isnan(found.history.value[taken + 1 :]))


def test_a_point_within_bounds_is_stationary_for_the_projection():
    projection = Partial(optax.projections.projection_box, lower=-0.3, upper=0.5)
    found = of_ridge(
        THETA * 0.5, steps=400, stationary=1e-8, tolerance=SCHEDULE, projection=projection
    )
    theta, _ = best([(-0.3, 0.5)] * ridge.FEATURES)
    assert found.status == uj.Status.CONVERGED
    assert {-0.3, 0.5} <= set(theta)
    np.testing.assert_allclose(found.theta, theta, atol=1e-6)


def test_rows_hold_the_value_and_the_gradient_of_each_step():
    found = of_ridge()
    assert found.status == uj.Status.COMPLETED
    theta = np.array(ridge.THETA)
    for value_found, size in zip(found.history.value, found.history.stationarity, strict=True):
        value, gradient = ridge.exact(theta)
        np.testing.assert_allclose(value_found, value, rtol=1e-8)
        np.testing.assert_allclose(size, np.linalg.norm(gradient), rtol=1e-8)
        theta = theta - 0.5 * gradient
    np.testing.assert_allclose(found.theta, theta, rtol=1e-7)
    assert np.all(found.history.tolerance == 1e-10)


def test_a_schedule_sets_both_tolerances():
    still = Partial(optax.sgd, 0.0)
    found = of_ridge(optimizer=still, tolerance=bilevel.Geometric(1e-2, 0.1, 1e-9), warm=())
    tolerances = np.maximum(10.0 ** -np.arange(2, 12), 1e-9)
    np.testing.assert_allclose(found.history.tolerance, tolerances, rtol=1e-12)
    value, _ = ridge.exact(THETA)
    assert np.all(np.abs(found.history.value - value) < 1000 * tolerances)
    for steps in (found.history.steps, found.history.adjoint_steps):
        assert np.all(np.diff(steps) >= 0)
        assert steps[-1] > steps[0]
    assert np.all(np.diff(found.history.steps[:8]) > 0)


def test_resumes_to_the_bit():
    options = {"optimizer": Partial(optax.sgd, 0.3, momentum=0.5), "tolerance": SCHEDULE}
    whole = of_ridge(**options)
    first = of_ridge(steps=5, **options)
    saved = jax.tree.map(np.asarray, first.state)
    second = of_ridge(steps=5, **options, state=saved)
    assert same(second.state, whole.state)
    joined = jax.tree.map(lambda a, b: np.concatenate([a, b]), first.history, second.history)
    assert same(joined.value, whole.history.value)
    assert same(joined.steps, whole.history.steps)


def test_compiles_once():
    projection = Partial(optax.projections.projection_box, lower=-3.0, upper=3.0)
    options = {"tolerance": SCHEDULE, "projection": projection, "stationary": 1e-9}
    of_ridge(**options)
    wider = Partial(optax.projections.projection_box, lower=-4.0, upper=4.0)
    other = bilevel.Geometric(1e-3, 0.7, 1e-9)
    theta, options = THETA + 0.1, options | {"tolerance": other, "projection": wider}
    with counted() as compilations:
        of_ridge(theta, **options | {"optimizer": Partial(optax.sgd, 0.2), "stationary": 1e-3})
    assert compilations.count == 0


def test_warm_starts_save_iterations():
    looser = uj.Implicit(linear_solver="cg", tol=1e-5)
    runs = {
        warm: of_ridge(steps=60, warm=warm, gradient=looser)
        for warm in ((), ("solution",), ("adjoint",), ("solution", "adjoint"))
    }
    steps = {warm: int(np.sum(run.history.steps)) for warm, run in runs.items()}
    adjoint_steps = {warm: int(np.sum(run.history.adjoint_steps)) for warm, run in runs.items()}
    both = runs["solution", "adjoint"]
    np.testing.assert_allclose(both.theta, runs[()].theta, atol=1e-4)
    assert steps["solution", "adjoint"] < 0.8 * steps[()]
    assert steps["solution",] < 0.8 * steps[()]
    assert adjoint_steps["solution", "adjoint"] < adjoint_steps[()]
    assert adjoint_steps["adjoint",] < adjoint_steps[()]


def test_error_estimates_are_made_when_due():
    found = of_ridge(
        steps=4,
        stop=uj.Stop(5000, 1e-4),
        warm=(),
        certify_every=2,
        optimizer=Partial(optax.sgd, 0.0),
    )
    exact = ridge.exact(THETA)[1]
    loose = bilevel.hypergradient(
        ridge.outer, DESCENT, ridge.problem, THETA, START, gradient=CG, stop=uj.Stop(5000, 1e-4)
    )
    true = np.linalg.norm(loose.gradient - exact) / np.linalg.norm(exact)
    estimates = np.asarray(found.history.error)
    assert np.all(np.isnan(estimates[1::2]))
    assert np.all((estimates[::2] > 0.5 * true) & (estimates[::2] < 2 * true))


def test_vmapped_runs_are_those_of_one():
    thetas = jnp.stack([THETA, THETA + 1.0])
    found = jax.vmap(lambda theta: of_ridge(theta, tolerance=SCHEDULE))(thetas)
    for row, theta in enumerate(thetas):
        alone = of_ridge(theta, tolerance=SCHEDULE)
        np.testing.assert_allclose(found.theta[row], alone.theta, rtol=1e-9)
        np.testing.assert_array_equal(found.history.steps[row], alone.history.steps)
    found.raise_if_failed()


def curved(theta, x):
    return jnp.sum(theta * x**2) / 2 - jnp.sum(x)


def loses_its_minimiser(theta=1.0, steps=10, **options):
    """The curvature theta falls by 0.3 a step: at the fourth it is negative."""
    options = {"optimizer": Partial(optax.sgd, 0.3)} | options
    return bilevel.minimize(
        lambda theta, x: theta + 0 * jnp.sum(x),
        uj.GradientDescent(0.5),
        lambda theta: uj.Objective(curved, theta),
        jnp.asarray(theta),
        jnp.zeros(2),
        steps=steps,
        **options,
    )


def test_a_failed_step_ends_the_run_and_changes_nothing():
    found = loses_its_minimiser()
    assert found.status == uj.Status.DIVERGED
    assert found.bad_step == found.state.step == 4
    np.testing.assert_allclose(found.theta, -0.2, rtol=1e-12)
    np.testing.assert_allclose(found.x, 10.0, rtol=1e-3)
    assert found.history.status[4] == uj.Status.DIVERGED
    assert np.all(found.history.status[5:] == uj.Status.RUNNING)
    before = loses_its_minimiser(steps=4)
    assert before.status == uj.Status.COMPLETED
    assert same(before.state[:5], found.state[:5])
    with pytest.raises(uj.SolveFailed, match="Outer step 4 failed"):
        found.raise_if_failed()


def test_a_failed_run_stays_failed():
    found = loses_its_minimiser()
    again = loses_its_minimiser(state=found.state)
    assert same(again.state, found.state)
    assert again.status == uj.Status.DIVERGED
    assert np.all(again.history.status == uj.Status.RUNNING)


def test_one_failure_of_a_batch_leaves_the_others():
    found = jax.vmap(loses_its_minimiser)(jnp.asarray([1.0, 3.5]))
    assert found.status.tolist() == [uj.Status.DIVERGED, uj.Status.COMPLETED]
    assert found.bad_step.tolist() == [4, -1]
    np.testing.assert_allclose(found.theta, [-0.2, 0.5], rtol=1e-12)


def test_a_singular_adjoint_ends_the_run():
    found = bilevel.minimize(
        lambda theta, x: jnp.sum(x**2) + jnp.sum(x),
        uj.GradientDescent(0.5),
        lambda theta: uj.Objective(lambda theta, x: (x[0] - theta[0]) ** 2 / 2, theta),
        jnp.ones(2),
        jnp.zeros(2),
        optimizer=SGD,
        steps=3,
    )
    assert found.status == uj.Status.ADJOINT_BREAKDOWN
    assert found.bad_step == 0
    np.testing.assert_array_equal(found.theta, 1.0)


def test_an_update_that_overflows_is_not_taken():
    found = of_ridge(optimizer=Partial(optax.sgd, np.inf))
    assert found.status == found.history.status[0] == uj.Status.NONFINITE
    np.testing.assert_array_equal(found.theta, THETA)


def test_ignoring_failures_goes_on():
    short = uj.Stop(max_steps=40, tol=1e-10)
    strict = of_ridge(stop=short)
    assert (strict.status, strict.bad_step) == (uj.Status.MAX_STEPS, 0)
    ignoring = uj.Implicit(linear_solver="cg", tol=1e-10, on_failure="ignore")
    lenient = of_ridge(stop=short, gradient=ignoring)
    assert lenient.status == uj.Status.COMPLETED
    assert np.any(lenient.history.status == uj.Status.MAX_STEPS)
    np.testing.assert_allclose(lenient.theta, of_ridge().theta, atol=0.05)


def test_too_few_steps_to_a_stationary_point_say_so():
    found = of_ridge(stationary=1e-8)
    assert found.status == uj.Status.MAX_STEPS
    with pytest.raises(uj.SolveFailed, match=r"Raise minimize\(steps"):
        found.raise_if_failed()


def test_modes_without_an_adjoint():
    found = of_ridge(gradient=uj.Unroll(), stop=uj.Stop(max_steps=300, tol=None))
    assert found.status == uj.Status.COMPLETED
    assert found.state.adjoint is None
    np.testing.assert_allclose(found.theta, of_ridge().theta, atol=1e-7)


def test_complex_parameters():
    aim = 1 + 2j

    def square(z):
        return jnp.sum(z.real**2 + z.imag**2)

    found = bilevel.minimize(
        lambda theta, x: square(x - aim),
        uj.GradientDescent(0.5),
        lambda theta: uj.Objective(lambda theta, x: square(x - theta), theta),
        jnp.zeros(2, complex),
        jnp.zeros(2, complex),
        optimizer=Partial(optax.sgd, 0.4),
        steps=40,
        stationary=1e-6,
    )
    assert found.status == uj.Status.CONVERGED
    np.testing.assert_allclose(found.theta, aim, atol=1e-5)


def test_differentiating_a_run_is_refused():
    slope = jax.grad(lambda theta: jnp.sum(of_ridge(theta, steps=2).theta))(THETA)
    assert np.all(np.isnan(slope))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"theta": THETA.at[1].set(jnp.nan)}, "theta0 holds a NaN or an infinity"),
        ({"theta": jnp.arange(5)}, "theta0 holds no floating-point array"),
        ({"steps": 0}, r"minimize\(steps=0\)"),
        ({"warm": "solution"}, r"minimize\(warm='solution'\)"),
        ({"certify_every": -1}, r"minimize\(certify_every=-1\)"),
    ],
)
def test_bad_arguments_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        of_ridge(**options)


def test_a_state_of_another_run_is_refused():
    state = of_ridge(steps=5).state
    with pytest.raises(ValueError, match=r"minimize\(state=...\) must come from"):
        of_ridge(state=state._replace(x=jnp.zeros(3)))
