import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.stats

import unrolljax as uj
from unrolljax import bilevel
from unrolljax.bilevel.laplace import quantile

X = jnp.linspace(0.0, 3.0, 20)
NOISE = jax.random.normal(jax.random.key(3), (200, 20)) * 0.1
TRUTH = {"amplitude": 2.0, "rate": 0.7}


def decay(theta, x, y):
    return y - theta["amplitude"] * jnp.exp(-theta["rate"] * x)


def curve(theta):
    return theta["amplitude"] * jnp.exp(-theta["rate"] * X)


def line(theta, x, y):
    return y - x @ theta["slopes"]


def test_profiles_of_a_line_are_the_laplace_intervals():
    rng = np.random.default_rng(1)
    x, y = jnp.asarray(rng.normal(size=(9, 3))), jnp.asarray(rng.normal(size=9))
    fit = bilevel.least_squares(line, {"slopes": jnp.zeros(3)}, args=(x, y))
    report = bilevel.identifiability(fit, points=4)
    np.testing.assert_allclose(report.profiles.intervals, report.intervals, rtol=1e-6)
    margin = scipy.stats.t.ppf(0.975, 6) * fit.deviation["slopes"]
    np.testing.assert_allclose(report.intervals[:, 1], fit.theta["slopes"] + margin, rtol=1e-9)
    scaled = np.asarray(x) / np.linalg.norm(x, axis=0)
    np.testing.assert_allclose(report.singular_values, np.linalg.svd(scaled)[1], rtol=1e-10)
    inverse = np.linalg.inv(x.T @ x)
    expected = inverse / np.sqrt(np.outer(np.diag(inverse), np.diag(inverse)))
    np.testing.assert_allclose(report.correlation, expected, rtol=1e-8)
    assert report.warnings() == []
    assert report.names == ["slopes[0]", "slopes[1]", "slopes[2]"]
    assert "slopes[2]" in str(report)


@pytest.mark.parametrize("freedom", [1.0, 2.0, 7.0, 150.0, 1e6])
def test_quantile_is_students(freedom):
    expected = scipy.stats.t.ppf(0.975, freedom)
    np.testing.assert_allclose(quantile(jnp.asarray(freedom), False), expected, rtol=1e-9)


def test_profile_is_the_refit_of_the_others():
    y = curve(TRUTH) + NOISE[0]
    fit = bilevel.least_squares(decay, {"amplitude": 1.0, "rate": 1.0}, args=(X, y))
    found = bilevel.identifiability(fit, points=6).profiles
    variance = 2 * fit.cost / 18
    for k in (0, 3, 9, 12):
        rate = found.values[1, k]
        other = scipy.optimize.minimize_scalar(
            lambda a, rate=rate: float(jnp.sum((y - a * jnp.exp(-rate * X)) ** 2)),
            bounds=(1, 4),
            method="bounded",
            options={"xatol": 1e-9},
        )
        np.testing.assert_allclose(
            found.rise[1, k], (other.fun - 2 * fit.cost) / variance, rtol=1e-5
        )
    assert found.rise[1, 6] == 0
    low, high = found.intervals[1]
    assert low < fit.theta["rate"] < high
    skew = (high - fit.theta["rate"]) / (fit.theta["rate"] - low)
    assert 1 < skew < 1.2  # slow decays are easier told from the truth than fast ones


def test_laplace_intervals_cover_the_truth():
    fits = jax.vmap(
        lambda y: bilevel.least_squares(decay, {"amplitude": 1.0, "rate": 1.0}, args=(X, y))
    )(curve(TRUTH)[None] + NOISE)
    reports = jax.vmap(lambda fit: bilevel.identifiability(fit, points=0))(fits.raise_if_failed())
    truth = jnp.array([2.0, 0.7])[None]
    inside = (reports.intervals[..., 0] <= truth) & (truth <= reports.intervals[..., 1])
    coverage = np.asarray(inside).mean(axis=0)
    assert np.all((coverage >= 0.90) & (coverage <= 0.98))


def redundant(theta, x, y):
    shape = jnp.exp(-theta["rate"] * x)
    return y - theta["gain"] * theta["layers"]["amplitude"][0] * shape


def test_what_the_data_leave_open_is_named():
    start = {"gain": 1.0, "layers": {"amplitude": jnp.array([1.5, 4.0])}, "rate": 1.0}
    fit = bilevel.least_squares(redundant, start, args=(X, curve(TRUTH) + NOISE[1]))
    fit.raise_if_failed()
    assert fit.theta["layers"]["amplitude"][1] == 4.0
    assert np.isinf(fit.deviation["gain"])
    assert np.isinf(fit.deviation["layers"]["amplitude"]).all()
    plain = bilevel.least_squares(
        decay, {"amplitude": 1.0, "rate": 1.0}, args=(X, curve(TRUTH) + NOISE[1])
    )
    np.testing.assert_allclose(fit.theta["rate"], plain.theta["rate"], rtol=1e-7)
    np.testing.assert_allclose(fit.deviation["rate"], plain.deviation["rate"], rtol=1e-6)
    report = bilevel.identifiability(fit, points=0)
    combined, alone = report.warnings()
    assert "determine gain and layers.amplitude[0]: only combinations" in combined
    assert "determine layers.amplitude[1]: the residuals do not depend on it" in alone
    assert combined in str(report)
    np.testing.assert_array_equal(report.undetermined, [True, True, True, False])
    assert np.sum(np.asarray(report.singular_values) < 1e-12) == 2


def test_priors_close_open_directions():
    start = {"gain": 1.0, "layers": {"amplitude": jnp.array([1.5, 4.0])}, "rate": 1.0}
    deviations = {"gain": 0.1, "layers": {"amplitude": jnp.array([np.inf, 2.0])}, "rate": None}
    fit = bilevel.least_squares(
        redundant, start, args=(X, curve(TRUTH)), priors=(1.0, deviations)
    ).raise_if_failed()
    np.testing.assert_allclose(fit.theta["layers"]["amplitude"], [2.0, 1.0], rtol=1e-7)
    np.testing.assert_allclose(fit.deviation["layers"]["amplitude"][1], 2.0, rtol=1e-10)
    assert not bilevel.identifiability(fit, points=0).undetermined.any()


def test_a_bound_is_said_to_hold_and_ends_a_profile():
    y = curve(TRUTH) + NOISE[2]
    start = {"amplitude": 1.0, "rate": 1.0}
    held = bilevel.least_squares(
        decay, start, args=(X, y), bounds=(0.0, {"amplitude": 1.5, "rate": None})
    )
    report = bilevel.identifiability(held, points=4)
    assert any("A bound holds amplitude" in sentence for sentence in report.warnings())
    near = float(bilevel.least_squares(decay, start, args=(X, y)).theta["rate"]) + 0.001
    free = bilevel.least_squares(
        decay,
        {"amplitude": 1.0, "rate": 0.5},
        args=(X, y),
        bounds=(0.0, {"amplitude": None, "rate": near}),
    )
    ends = bilevel.identifiability(free, points=4).profiles.intervals
    np.testing.assert_allclose(ends[1, 1], near, rtol=1e-12)
    assert ends[1, 0] < near - 0.01


def test_a_failed_fit_has_no_deviations():
    y = curve(TRUTH) + NOISE[2]
    fit = bilevel.least_squares(decay, {"amplitude": 1.0, "rate": 1.0}, args=(X, y), max_steps=0)
    assert fit.status == uj.Status.MAX_STEPS
    report = bilevel.identifiability(fit, points=4)
    assert np.isnan(np.asarray(report.intervals)).all()
    assert np.isfinite(np.asarray(report.singular_values)).all()
    assert "MAX_STEPS" in report.warnings()[0]
