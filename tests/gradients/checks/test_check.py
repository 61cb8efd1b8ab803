"""The comparison of gradient modes: right where they are right, honest where nothing can be said.

Most tests look at one comparison of each kind, made once.
"""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optimistix
import pytest

import unrolljax as uj
from unrolljax.gradients.checks.check import check
from unrolljax.gradients.checks.comparison import Comparison, Row
from unrolljax.gradients.checks.differences import (
    Differences,
    random_directions,
)
from unrolljax.lab.compilations import counted

THETA, X0 = jnp.asarray([0.8, -0.5, 0.3, 1.1, -0.2, 0.6]), jnp.zeros(6)
A = np.random.default_rng(7).normal(size=(9, 6)) / 3
TIGHT = uj.Stop(2000, 1e-12)
EXACT = {
    "unroll": uj.Unroll(),
    "truncated": uj.Truncated(tol=1e-8),
    "neumann": uj.Neumann(200),
    "implicit": uj.Implicit(tol=1e-12),
    "both": uj.Implicit(tol=1e-12, ad="both"),
}


def ridge(theta):
    return uj.Objective(ridge_objective, theta)


def ridge_objective(theta, x):
    misfit = jnp.asarray(A, x.dtype) @ (x - jnp.sin(theta))
    return jnp.sum(misfit**2) / 2 + (0.5 + theta[0] ** 2) * jnp.sum(x**2) / 2


def outer(theta, x):
    weights = jnp.asarray(np.cos(np.arange(6.0)), x.dtype)
    return jnp.sum(weights * jnp.sin(2 * x)) + jnp.sum(theta**2) / 10


@pytest.fixture(scope="module")
def smooth():
    modes = EXACT | {"one_step": uj.OneStep(), "refused": uj.Truncated(depth=2000)}
    return check(outer, uj.GradientDescent(0.2), ridge, THETA, X0, modes=modes, stop=TIGHT)


def test_every_exact_mode_agrees_with_differences(smooth):
    for name in EXACT:
        row = smooth[name]
        assert row.error < 1e-7, name
        assert row.from_implicit < 1e-7, name
        assert row.cosine > 1 - 1e-12
        assert row.status == "CONVERGED"
    assert smooth.kinks == (False,) * 4
    assert smooth.uncertainty < 1e-6
    assert smooth.remarks == []


def test_values_and_slopes_are_those_of_the_loss(smooth):
    solution = uj.solve(uj.GradientDescent(0.2), ridge(THETA), X0, stop=TIGHT)
    value = float(outer(THETA, solution.value))
    assert smooth.differences.value == pytest.approx(value, rel=1e-9)
    assert smooth["implicit"].value == pytest.approx(value, rel=1e-10)
    directions = [np.asarray(d) for d in random_directions(THETA, 4, 0)]

    def at(t, d):
        x = uj.solve(uj.GradientDescent(0.2), ridge(THETA + t * d), X0, stop=TIGHT).value
        return float(outer(THETA + t * d, x))

    expected = [(at(1e-5, d) - at(-1e-5, d)) / 2e-5 for d in directions]
    np.testing.assert_allclose(smooth.differences.slopes, expected, rtol=1e-6)
    np.testing.assert_allclose(smooth["implicit"].slopes, expected, rtol=1e-6)


def test_one_step_shows_its_error(smooth):
    row = smooth["one_step"]
    assert 0.1 < row.error < 1
    assert 0.1 < row.from_implicit < 1
    assert 0.9 < row.cosine < 0.9999
    ours, theirs = np.asarray(row.slopes), smooth.differences.slopes
    assert row.error == pytest.approx(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


def test_costs_are_measured(smooth):
    for name in EXACT:
        row = smooth[name]
        assert row.compile_seconds > 0
        assert row.run_milliseconds > 0
    # 2000 steps of six float64 are taped at least.
    assert smooth["unroll"].temporary_megabytes > 2000 * 6 * 8 / 1e6
    assert smooth["implicit"].temporary_megabytes < smooth["unroll"].temporary_megabytes / 10


def test_a_refused_mode_is_a_row_with_the_reason(smooth):
    row = smooth["refused"]
    assert row.refused
    assert row.status.startswith("refused: Truncated(depth=2000) is not below Stop(max_steps=2000)")
    assert np.isnan(row.error)
    assert [r.name for r in smooth.rows] == [*EXACT, "one_step", "refused"]


def test_the_table_has_a_line_a_mode_and_one_of_the_differences(smooth):
    lines = str(smooth).splitlines()
    assert len(lines) == 1 + 7 + 1
    assert lines[0].split()[:3] == ["mode", "value", "relative"]
    assert lines[7].startswith("refused      refused: Truncated(depth=2000)")
    assert lines[8].startswith("differences")
    starts = {line.index(row.status) for line, row in zip(lines[1:7], smooth.rows, strict=False)}
    assert starts == {lines[0].index("status")}


def test_json_holds_the_numbers(smooth):
    content = json.loads(smooth.as_json(), parse_constant=pytest.fail)
    rows = {row["name"]: row for row in content["modes"]}
    assert rows["one_step"]["error"] == smooth["one_step"].error
    assert tuple(rows["implicit"]["slopes"]) == smooth["implicit"].slopes
    assert rows["refused"]["error"] is None
    assert rows["refused"]["status"] == smooth["refused"].status
    assert content["differences"]["slopes"] == smooth.differences.slopes.tolist()
    assert content["differences"]["kinks"] == [False] * 4
    assert content["differences"]["uncertainty"] == smooth.uncertainty
    assert content["remarks"] == []


def test_a_failed_solve_is_nan_with_its_status():
    modes = {"implicit": uj.Implicit(), "unroll": uj.Unroll()}
    compared = check(
        outer, uj.GradientDescent(0.2), ridge, THETA, X0,
        modes=modes, stop=uj.Stop(3, 1e-9), directions=1,
    )  # fmt: skip
    row = compared["implicit"]
    assert row.status == "MAX_STEPS"
    assert np.isnan(row.error)
    assert np.isnan(row.cosine)
    assert np.isfinite(row.value)
    assert np.isnan(compared["unroll"].from_implicit)
    # Ten times as many steps are too few for differences as well.
    assert set(compared.differences.solves) == {"MAX_STEPS"}
    assert "MAX_STEPS: the differences are as wrong as these solutions" in compared.remarks[0]


def test_steps_that_cannot_be_differentiated_are_refused_by_the_default_modes():
    solver = uj.solvers.Optimistix(optimistix.Newton(1e-8, 1e-8))

    def cubic(theta, x):
        return x + 0.05 * x**3 - jnp.sin(theta)

    compared = check(outer, solver, lambda t: uj.Residuals(cubic, t), THETA, X0, directions=1)
    refused = [row.name for row in compared.rows if row.refused]
    assert refused == ["unroll", "truncated", "one_step", "neumann"]
    assert "cannot be differentiated in reverse" in compared["unroll"].status
    assert max(compared[name].error for name in ("implicit", "implicit_both")) < 1e-6


# A lasso with two columns: the second leaves zero where the weight is |a_2^T (y - a_1 x_1)|.
MATRIX = np.array([[1.0, 0.2], [0.0, 1.0], [0.3, 0.1]])
SEEN = np.array([1.0, 0.4, -0.2])


def lasso_value(weight, x):
    return jnp.sum((jnp.asarray(MATRIX, x.dtype) @ x - jnp.asarray(SEEN, x.dtype)) ** 2) / 2 + (
        0 * weight
    )


def lasso_prox(weight, v, step):
    return uj.prox.l1(v, step * weight)


def lasso_penalty(weight, x):
    return weight * jnp.sum(jnp.abs(x))


def lasso_support(_, x):
    return x != 0


def check_lasso(weight, declared, directions=2):
    support = lasso_support if declared else None

    def problem(weight):
        return uj.Composite(lasso_value, lasso_prox, lasso_penalty, weight, support)

    return check(
        lambda _, x: jnp.sum((x - 1) ** 2), uj.solvers.ProximalGradient(0.5), problem,
        jnp.asarray(weight), jnp.zeros(2), directions=directions, stop=uj.Stop(1000, 1e-12),
        modes={"implicit": uj.Implicit(tol=1e-12), "unroll": uj.Unroll()},
    )  # fmt: skip


WEIGHT_OF_ZERO = np.max(np.abs(MATRIX.T @ SEEN))


@pytest.mark.parametrize("declared", [True, False])
def test_where_a_lasso_leaves_zero_there_is_a_kink(declared):
    compared = check_lasso(WEIGHT_OF_ZERO, declared)
    assert compared.kinks == (True, True)
    assert all(np.isnan(row.error) and np.isnan(row.cosine) for row in compared.rows)
    assert compared.remarks[0].startswith("At a kink: along every direction")
    assert compared.remarks[0].endswith("Move theta.")
    assert "Move theta." in str(compared)
    json.loads(compared.as_json(), parse_constant=pytest.fail)


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("distance", [-0.3, -1e-3, -1e-4])
def test_next_to_the_kink_there_is_none(declared, distance):
    compared = check_lasso(WEIGHT_OF_ZERO + distance, declared, directions=1)
    assert compared.kinks == (False,)
    assert max(row.error for row in compared.rows) < 1e-7


def test_a_kink_along_some_directions_leaves_the_others():
    slopes = np.array([1.0, 2.0, 3.0])
    found = Differences(0.0, slopes, 0 * slopes, np.array([False, True, False]), {}, "float64")
    compared = Comparison((Row("mode", "-"),), found)
    assert compared.remarks == ["At a kink along 1 of 3 directions (2): they are left out."]


def test_differences_are_in_float64_wherever_jax_is():
    with jax.enable_x64(False):
        compared = check(
            outer, uj.GradientDescent(0.2), ridge, jnp.asarray(np.asarray(THETA)),
            jnp.zeros(6), modes={"implicit": uj.Implicit()}, stop=uj.Stop(200, 1e-5), directions=2,
        )  # fmt: skip
    assert compared.differences.precision == "float64"
    assert compared.uncertainty < 1e-6
    assert compared["implicit"].error < 1e-3


def test_pytrees_and_complex_parameters():
    theta = {"gain": jnp.asarray(0.7), "spectrum": jnp.asarray([1 + 2j, -0.5j])}

    def problem(theta):
        return uj.Objective(fit, theta)

    def fit(theta, x):
        target = jnp.stack([theta["gain"], *jnp.abs(theta["spectrum"]) ** 2])
        return jnp.sum((x - target) ** 2)

    compared = check(
        lambda theta, x: jnp.sum(jnp.sin(x)) + jnp.real(theta["spectrum"][0]) * x[0],
        uj.GradientDescent(0.3), problem, theta, jnp.zeros(3),
        modes={"implicit": uj.Implicit(tol=1e-12)}, stop=TIGHT,
    )  # fmt: skip
    assert compared["implicit"].error < 1e-8


def test_directions_and_their_number_compile_nothing_more():
    def run(directions, seed):
        with counted() as seen:
            check(
                outer, uj.GradientDescent(0.2), ridge, THETA, X0, seed=seed,
                modes={"implicit": uj.Implicit()}, directions=directions,
            )  # fmt: skip
        return seen.count

    run(1, 0)
    assert run(5, 1) == run(1, 2) <= 1  # the gradient, whose compilation is timed


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"theta": jnp.arange(6)}, TypeError, "theta must hold float or complex arrays"),
        ({"theta": {}}, TypeError, "theta must hold float or complex arrays"),
        ({"modes": {"one": uj.Unroll}}, TypeError, r"modes\['one'\] must be a GradientMode"),
        ({"directions": 0}, ValueError, "directions=0"),
        ({"outer": lambda _, x: x}, TypeError, r"a real scalar, not float64\[6\]"),
        ({"outer": lambda _, x: x @ jnp.ones(5)}, TypeError, "dot_general"),
    ],
)
def test_bad_input_is_one_clear_error(changes, error, message):
    given = {"outer": outer, "solver": uj.GradientDescent(0.2), "problem_fn": ridge}
    given |= {"theta": THETA, "x0": X0} | changes
    with pytest.raises(error, match=message):
        check(**given)
