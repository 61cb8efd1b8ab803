import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

import unrolljax as uj
from unrolljax import bilevel
from unrolljax.lab.compilations import counted

X = jnp.linspace(0.0, 4.0, 25)
Y = 2.0 * jnp.exp(-0.8 * X) + 0.5 + 0.1 * jnp.sin(37.0 * X)
START = {"amplitude": 1.0, "rate": 0.3, "offset": 0.0}


def decay(theta, x, y):
    return y - theta["amplitude"] * jnp.exp(-theta["rate"] * x) - theta["offset"]


def as_vector(tree):
    return np.asarray(jax.flatten_util.ravel_pytree(tree)[0])


@jax.jit
def decay_of_vector(v):
    return decay({"amplitude": v[0], "offset": v[1], "rate": v[2]}, X, Y)


def scipys(start, **options):
    """scipy's optimum of `decay`, entries in the order of the pytree: amplitude, offset, rate."""
    options = {"xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15} | options
    jacobian = jax.jit(jax.jacfwd(decay_of_vector))
    return scipy.optimize.least_squares(
        lambda v: np.asarray(decay_of_vector(v)),
        start,
        jac=lambda v: np.asarray(jacobian(v)),
        **options,
    )


@pytest.mark.parametrize(
    ("lower", "upper"),
    [
        ({"amplitude": None, "rate": 0.0, "offset": 0.6}, None),
        (0.1, {"amplitude": 1.9, "rate": 0.5, "offset": np.inf}),
        (-10.0, {"amplitude": 1.5, "rate": 0.7, "offset": 10.0}),
        ({"amplitude": 0.9, "rate": -1.0, "offset": -1.0}, 1.0),
    ],
)
def test_bounds_reach_scipys_optimum(lower, upper):
    start = {"amplitude": 1.0, "rate": 0.3, "offset": 0.65}
    fit = bilevel.least_squares(decay, start, args=(X, Y), bounds=(lower, upper)).raise_if_failed()
    box = fit.problem.box
    other = scipys(as_vector(start), bounds=(np.asarray(box.lower), np.asarray(box.upper)))
    np.testing.assert_allclose(fit.cost, other.cost, rtol=1e-10)
    np.testing.assert_allclose(as_vector(fit.theta), other.x, rtol=1e-6)
    held = other.active_mask != 0
    assert held.any()
    np.testing.assert_array_equal(as_vector(fit.on_bound), held)
    assert bool(box.contains(jnp.asarray(as_vector(fit.theta))))
    free = ~held
    jacobian = jax.jacfwd(decay_of_vector)(jnp.asarray(as_vector(fit.theta)))[:, free]
    expected = 2 * float(fit.cost) / (X.size - free.sum()) * np.linalg.inv(jacobian.T @ jacobian)
    np.testing.assert_allclose(fit.covariance[np.ix_(free, free)], expected, rtol=1e-6)
    assert np.isnan(np.asarray(fit.covariance)[~free]).all()


def test_equal_bounds_fix_a_parameter():
    start = START | {"offset": 0.25}
    bounds = (
        {"amplitude": None, "rate": None, "offset": 0.25},
        {"amplitude": 9.0, "rate": 9.0, "offset": 0.25},
    )
    fit = bilevel.least_squares(decay, start, args=(X, Y), bounds=bounds).raise_if_failed()
    assert fit.theta["offset"] == 0.25
    assert fit.on_bound["offset"]
    assert not fit.on_bound["rate"]
    assert np.isfinite(fit.deviation["rate"])


@pytest.mark.parametrize(
    ("loss", "name"),
    [(bilevel.Huber, "huber"), (bilevel.SoftL1, "soft_l1"), (bilevel.Cauchy, "cauchy")],
)
def test_robust_losses_reach_scipys_optimum(loss, name):
    outlying = Y.at[jnp.array([3, 11, 18])].add(jnp.array([2.0, -1.5, 3.0]))
    fit = bilevel.least_squares(decay, START, args=(X, outlying), loss=loss(0.08)).raise_if_failed()
    shift = np.asarray(outlying - Y)
    other = scipy.optimize.least_squares(
        lambda v: np.asarray(decay_of_vector(v)) + shift,
        as_vector(fit.theta) * 1.01,
        jac=lambda v: np.asarray(jax.jacfwd(decay_of_vector)(v)),
        loss=name,
        f_scale=0.08,
        **dict.fromkeys(["xtol", "ftol", "gtol"], 1e-15),
    )
    np.testing.assert_allclose(fit.cost, other.cost, rtol=1e-9)
    np.testing.assert_allclose(as_vector(fit.theta), other.x, rtol=1e-6)
    squares = bilevel.least_squares(decay, START, args=(X, outlying)).raise_if_failed()
    truth, wrong = np.array([2.0, 0.5, 0.8]), as_vector(squares.theta)
    assert np.abs(as_vector(fit.theta) - truth).max() < 0.5 * np.abs(wrong - truth).max()
    assert np.all(as_vector(fit.deviation) < 0.5 * as_vector(squares.deviation))


def test_priors_are_residual_rows():
    mean, deviation = (
        {"amplitude": 1.0, "rate": None, "offset": 0.0},
        {"amplitude": 0.1, "rate": None, "offset": np.inf},
    )
    args = (X, Y / 0.1)

    def scaled(theta, x, y):
        return decay(theta, x, 0.1 * y) / 0.1

    fit = bilevel.least_squares(
        scaled, START, args=args, priors=(mean, deviation)
    ).raise_if_failed()
    other = scipy.optimize.least_squares(
        lambda v: np.append(np.asarray(decay_of_vector(v)) / 0.1, (v[0] - 1) / 0.1),
        as_vector(START),
        **dict.fromkeys(["xtol", "ftol", "gtol"], 1e-15),
    )
    np.testing.assert_allclose(fit.cost, other.cost, rtol=1e-10)
    np.testing.assert_allclose(as_vector(fit.theta), other.x, rtol=1e-6)
    jacobian = jax.jacfwd(decay_of_vector)(jnp.asarray(as_vector(fit.theta))) / 0.1
    precision = jacobian.T @ jacobian + np.diag([100.0, 0.0, 0.0])
    np.testing.assert_allclose(fit.covariance, np.linalg.inv(precision), rtol=1e-8)


def line(theta, x, y):
    return {"left": (y - x @ theta)[:4], "right": (y - x @ theta)[4:]}


@pytest.mark.parametrize("known", [False, True])
def test_covariance_of_a_line(known):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 3)), rng.normal(size=12)
    fit = bilevel.least_squares(
        line, jnp.zeros(3), args=(jnp.asarray(x), jnp.asarray(y)), noise_is_known=known
    )
    best, squares = np.linalg.lstsq(x, y)[:2]
    np.testing.assert_allclose(fit.theta, best, rtol=1e-10)
    variance = 1.0 if known else squares[0] / 9
    np.testing.assert_allclose(fit.covariance, variance * np.linalg.inv(x.T @ x), rtol=1e-9)
    assert int(fit.steps) < 10


def wave(theta, x, y):
    return y - jnp.sin(theta * x)


def test_starts_run_together_and_the_best_wins():
    y = jnp.sin(3.0 * X)
    options = {"args": (X, y), "bounds": (0.1, 10.0)}
    alone = bilevel.least_squares(wave, 8.0, **options)
    several = bilevel.least_squares(wave, 8.0, starts=jnp.array([1.0, 2.9, 6.0]), **options)
    assert alone.cost > 1
    assert several.raise_if_failed().cost < 1e-12
    np.testing.assert_allclose(several.theta, 3.0, rtol=1e-8)
    assert several.starts.cost.shape == several.starts.status.shape == (4,)
    np.testing.assert_allclose(several.starts.theta[0], alone.theta, rtol=1e-6)
    assert several.cost == several.starts.cost[2]
    drawn = bilevel.least_squares(wave, 8.0, starts=3, key=jax.random.key(1), **options)
    assert drawn.starts.cost.shape == (4,)
    assert drawn.cost == drawn.starts.cost.min()


def test_stratified_points_fill_every_stratum():
    theta = {"a": jnp.zeros(2), "b": jnp.zeros(())}
    box = bilevel.bounds.as_box(
        ({"a": jnp.array([0.0, -1.0]), "b": 5.0}, {"a": 1.0, "b": 9.0}), theta
    )
    points = bilevel.bounds.stratified_points(jax.random.key(0), 16, box, theta)
    unit = (points - box.lower[None]) / (box.upper - box.lower)[None]
    for column in np.asarray(unit).T:
        np.testing.assert_array_equal(np.sort(np.floor(16 * column)), np.arange(16))


def test_a_batch_of_data_is_a_loop_over_it():
    scales = jnp.array([1.0, 2.0, 3.5])
    fits = jax.vmap(lambda y: bilevel.least_squares(decay, START, args=(X, y)))(
        jnp.outer(scales, Y)
    )
    fits.raise_if_failed()
    for fit, scale in enumerate(scales):
        alone = bilevel.least_squares(decay, START, args=(X, scale * Y))
        np.testing.assert_allclose(fits.theta["rate"][fit], alone.theta["rate"], rtol=1e-8)
        np.testing.assert_allclose(fits.covariance[fit], alone.covariance, rtol=1e-6)
    closed = jax.vmap(
        lambda y: bilevel.least_squares(lambda theta: decay(theta, X, y), START).theta["rate"]
    )(jnp.outer(scales, Y))
    np.testing.assert_allclose(closed, fits.theta["rate"], rtol=1e-8)


def test_float32():
    start = {name: np.float32(value) for name, value in START.items()}
    data = (X.astype(jnp.float32), Y.astype(jnp.float32))
    fit = bilevel.least_squares(decay, start, args=data).raise_if_failed()
    exact = bilevel.least_squares(decay, START, args=(X, Y))
    assert fit.covariance.dtype == jnp.float32
    np.testing.assert_allclose(as_vector(fit.theta), as_vector(exact.theta), rtol=1e-4)
    np.testing.assert_allclose(fit.covariance, exact.covariance, rtol=2e-3)


def test_new_numbers_compile_nothing():
    def fit(factor, steps, tol):
        start = {name: factor * value for name, value in START.items()}
        bounds = (-9.0 * factor, {"amplitude": 9.0 * factor, "rate": None, "offset": 5.0})
        found = bilevel.least_squares(
            decay, start, args=(X, factor * Y), bounds=bounds, max_steps=steps, tol=tol
        )
        return found.raise_if_failed()

    fit(1.0, 200, 1e-10)
    with counted() as compilations:
        fit(1.25, 150, 1e-9)
    assert compilations.count == 0


def test_non_finite_residuals_at_the_start():
    fit = bilevel.least_squares(decay, START, args=(X, Y.at[2].set(jnp.nan)))
    assert fit.status == uj.Status.NONFINITE
    assert np.isinf(fit.cost)


def test_a_start_outside_the_bounds():
    with pytest.raises(ValueError, match=r"theta0 .* rate is 0\.3 .*bounds 0\.5"):
        bilevel.least_squares(
            decay, START, args=(X, Y), bounds=({"amplitude": 0.0, "rate": 0.5, "offset": 0.0}, None)
        )
    traced = jax.jit(
        lambda low: bilevel.least_squares(decay, START, args=(X, Y), bounds=(low, 9.0))
    )
    assert traced(0.2).status == uj.Status.NONFINITE
    assert traced(-0.2).status == uj.Status.CONVERGED


def test_residuals_that_fall_for_ever_have_no_minimiser():
    def falling(theta, x):
        return jnp.exp(-theta * x)

    fit = bilevel.least_squares(falling, 1.0, args=(1.0 + X,), max_steps=60)
    assert fit.status == uj.Status.MAX_STEPS
    assert np.isnan(fit.deviation)
    far = bilevel.least_squares(falling, 1.0, args=(1.0 + X,), max_steps=5000)
    assert far.status in (uj.Status.DIVERGED, uj.Status.MAX_STEPS)


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"theta0": {"amplitude": 1, "rate": 1.0, "offset": 1.0}}, TypeError, "amplitude"),
        ({"args": (X[:2], Y[:2])}, ValueError, "2 numbers for 3 parameters"),
        ({"bounds": (2.0, 1.0)}, ValueError, "lower bound of amplitude"),
        ({"bounds": ({"rate": 1.0}, None)}, ValueError, r"bounds\[0\] must be a number"),
        ({"bounds": 3.0}, ValueError, "bounds must be a pair"),
        ({"priors": (0.0, 0.0)}, ValueError, "standard deviation must be positive"),
        ({"loss": "huber"}, TypeError, "Huber"),
        ({"starts": 4, "bounds": (-1.0, 9.0)}, ValueError, "pass key"),
        ({"starts": 4, "key": jax.random.key(0)}, ValueError, "finite bounds, also for amplitude"),
        ({"tol": 1e-16}, ValueError, "tol=1e-16"),
    ],
)
def test_bad_input_is_named(change, error, sentence):
    options = {"theta0": START, "args": (X, Y)} | change
    with pytest.raises(error, match=sentence):
        bilevel.least_squares(decay, options.pop("theta0"), **options)


def test_the_derivative_of_a_fit_is_refused():
    def rate(factor):
        return bilevel.least_squares(decay, START, args=(X, factor * Y)).theta["rate"]

    assert np.isnan(jax.grad(rate)(1.0))
