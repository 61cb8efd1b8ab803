"""Auto: the error that it keeps, what it decides, and how it fails."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unrolljax as uj
from benchmarks.auto.contractions import KINDS, contractions, matrix
from benchmarks.auto.measure import SOLVER, arrays, measure
from benchmarks.auto.report import missed, summary
from unrolljax.gradients.adjoint.linear import LinearSolve
from unrolljax.gradients.adjoint.refine import RefinedSolve
from unrolljax.gradients.auto import Auto
from unrolljax.gradients.decision import decide
from unrolljax.lab.compilations import counted

STOP = uj.Stop(5000, 2e-6)
N = 20
RANDOM = np.random.default_rng(5)
COTANGENT = jnp.asarray(RANDOM.normal(size=N))
SHIFT = jnp.asarray(RANDOM.normal(size=N) / 5)


def problem(rate, kind="triangular", curvature=0.0, seed=0):
    w = matrix(np.random.default_rng(seed), kind, N, rate)
    return jnp.asarray(w), SHIFT, jnp.asarray(curvature)


@jax.jit
def gradient(problem, tol, x0):
    """Gradient, and the solution, in one compilation for all tests that share its shapes."""

    def loss(problem):
        solution = uj.solve(SOLVER, problem, x0, gradient=Auto(tol), stop=STOP)
        return COTANGENT.astype(x0.dtype) @ solution.value, solution

    return jax.grad(loss, has_aux=True)(problem)


def exact(problem):
    return np.linalg.solve(np.eye(N) - np.asarray(problem[0], float).T, COTANGENT)


def relative_error(found, expected):
    return np.linalg.norm(np.asarray(found) - expected) / np.linalg.norm(expected)


FAST, SLOW = problem(0.3), problem(0.95)


@pytest.mark.parametrize("tol", [1e-1, 1e-4, 1e-7])
@pytest.mark.parametrize("given", [FAST, SLOW], ids=["fast", "slow"])
def test_the_gradient_is_within_tol(given, tol):
    bar, solution = gradient(given, jnp.asarray(tol), jnp.zeros(N))
    assert relative_error(bar[1], exact(given)) <= tol
    assert int(solution.status) == uj.Status.CONVERGED


def test_the_decision_follows_the_rate_and_explains_itself():
    fast = gradient(FAST, jnp.asarray(1e-2), jnp.zeros(N))[1].decision
    slow = gradient(SLOW, jnp.asarray(1e-2), jnp.zeros(N))[1].decision
    assert fast.truncated
    assert not slow.truncated
    assert fast.explain().startswith("truncated: rate 0.")
    assert f"would need a depth of {slow.depth}, more than the 21 products" in slow.explain()
    both = jax.tree_util.tree_map(lambda *v: jnp.stack(v), fast, slow)
    assert both.explain() == fast.explain() + "\n" + slow.explain()


def test_it_takes_the_lesser_of_depth_and_predicted_products():
    rates = jnp.asarray([0.0, 0.2, 0.6, 0.9, 0.99, 1.0, 1.3])
    tol = jnp.asarray(1e-3)
    plain, definite = uj.Structure(), uj.Structure(symmetric=True, positive_definite=True)
    for structure, factor in ((plain, 2), (definite, 1)):
        truncated, depth, products = decide(rates, tol, 500, structure, True)
        np.testing.assert_array_equal(truncated, depth <= products)
        assert list(depth[-2:]) == [jnp.iinfo(jnp.int32).max] * 2
        steps = np.ceil(np.sqrt(199) / 2 * np.log(2 / (1e-3 * 0.01)))
        assert int(products[4]) == factor * steps + 1
    assert not np.any(decide(rates, tol, 500, plain, False)[0])
    assert int(decide(rates, tol, 30, plain, True)[2]) == 31


def test_the_solve_steps_on_until_the_solution_is_good_enough():
    curved = problem(0.9, curvature=1.0)
    loose, tight = (gradient(curved, jnp.asarray(tol), jnp.zeros(N))[1] for tol in (1e-1, 1e-8))
    assert int(loose.decision.extra_steps) == 0
    assert int(tight.decision.extra_steps) > 0
    assert int(tight.steps) == int(loose.steps) + int(tight.decision.extra_steps)
    assert float(tight.decision.iterate_error) <= 0.25e-8


def test_a_solution_that_cannot_be_good_enough_has_a_status_and_no_gradient():
    stop = uj.Stop(40, 1e-1)

    def loss(problem, mode):
        solution = uj.solve(SOLVER, problem, jnp.zeros(N), gradient=mode, stop=stop)
        return COTANGENT @ solution.value, solution.status

    grad = jax.jit(jax.grad(loss, has_aux=True))
    bar, status = grad(SLOW, Auto(1e-6))
    assert int(status) == uj.Status.MAX_STEPS
    assert np.all(np.isnan(bar[1]))
    bar, _ = grad(SLOW, Auto(1e-6, on_failure="ignore"))
    assert relative_error(bar[1], exact(SLOW)) < 1e-3


def test_a_batch_decides_for_each_element_and_a_failure_poisons_only_itself():
    growing = problem(1.3, "symmetric")
    stacked = jax.tree_util.tree_map(lambda *v: jnp.stack(v), FAST, SLOW, growing)
    tol = jnp.asarray(1e-4)
    bars, solution = jax.vmap(gradient, (0, None, None))(stacked, tol, jnp.zeros(N))
    np.testing.assert_array_equal(solution.decision.truncated[:2], [True, False])
    assert int(solution.status[2]) == uj.Status.DIVERGED
    assert np.all(np.isnan(bars[1][2]))
    for i, given in enumerate((FAST, SLOW)):
        alone, _ = gradient(given, tol, jnp.zeros(N))
        np.testing.assert_allclose(bars[1][i], alone[1], rtol=1e-9)


def test_float32_keeps_its_dtype():
    given = jax.tree_util.tree_map(lambda v: v.astype(jnp.float32), SLOW)
    bar, solution = gradient(given, jnp.float32(1e-3), jnp.zeros(N, jnp.float32))
    assert bar[1].dtype == jnp.float32
    assert relative_error(bar[1], exact(SLOW)) <= 1e-3
    assert solution.decision.rate.dtype == jnp.float32


def test_a_second_call_compiles_nothing_and_another_decision_neither():
    def eager(given, tol):
        def loss(given):
            solution = uj.solve(SOLVER, given, jnp.zeros(N), gradient=Auto(tol), stop=STOP)
            return COTANGENT @ solution.value

        return jax.grad(loss)(given)

    eager(FAST, 1e-2)
    with counted() as compiled:
        eager(SLOW, 1e-3)
    assert compiled.count == 0


def test_the_start_has_no_gradient():
    def loss(x0):
        return COTANGENT @ uj.solve(SOLVER, FAST, x0, gradient=Auto(), stop=STOP).value

    assert not np.any(jax.grad(loss)(jnp.ones(N)))


def test_second_derivatives_and_forward_mode_are_refused():
    def value(shift):
        given = (FAST[0], shift, jnp.asarray(1.0))
        return COTANGENT @ uj.solve(SOLVER, given, jnp.zeros(N), gradient=Auto(), stop=STOP).value

    with pytest.raises(ValueError, match="Reverse-mode differentiation"):
        jax.jacrev(jax.grad(value))(SHIFT)
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jacfwd(jax.grad(value))(SHIFT)
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(value, (SHIFT,), (SHIFT,))


def test_the_decision_refuses_differentiation():
    def rate(shift):
        given = (FAST[0], shift, FAST[2])
        solution = uj.solve(SOLVER, given, jnp.zeros(N), gradient=Auto(), stop=STOP)
        return solution.decision.rate

    assert np.all(np.isnan(jax.grad(rate)(SHIFT)))


class Bisection(uj.Solver):
    """The root of an increasing function in [-4, 4], in a step that reverse mode cannot enter."""

    @property
    def differentiable_step(self):
        return False

    def init(self, problem, x0):
        return x0

    def step(self, problem, state):
        def halve(bounds):
            low, high = bounds
            middle = (low + high) / 2
            below = self.optimality(problem, middle) < 0
            return jnp.where(below, middle, low), jnp.where(below, high, middle)

        start = (jnp.full_like(state, -4), jnp.full_like(state, 4))
        low, _ = jax.lax.while_loop(lambda b: jnp.max(b[1] - b[0]) > 1e-12, halve, start)
        return low

    def read(self, state):
        return state

    def optimality(self, problem, x):
        return x + x**3 - problem


def test_a_step_that_cannot_be_differentiated_is_implicit():
    def loss(theta):
        solution = uj.solve(Bisection(), theta, jnp.zeros(3), gradient=Auto(1e-6), stop=STOP)
        return jnp.sum(solution.value), solution

    theta = jnp.asarray([0.5, -1.0, 2.0])
    bar, solution = jax.jit(jax.grad(loss, has_aux=True))(theta)
    np.testing.assert_allclose(bar, 1 / (1 + 3 * solution.value**2), rtol=1e-6)
    assert "cannot be differentiated" in solution.decision.explain()


def test_a_series_that_was_promised_too_much_falls_through_to_the_solve():
    state, _, decision = Auto(1e-6).run(SOLVER, SLOW, jnp.zeros(N), STOP)
    fooled = decision._replace(truncated=jnp.ones((), bool), rate=jnp.asarray(0.1))
    bar, report = Auto(1e-6).pull_back(SOLVER, SLOW, state, fooled, COTANGENT)
    assert relative_error(bar[1][1], exact(SLOW)) <= 1e-6
    assert bool(report.enough)
    assert int(report.depth) == 2 * int(decision.products)
    assert int(report.products) > int(report.depth)


def test_the_refined_solve_bounds_the_error_where_the_residual_does_not():
    """A direction of 1e-3 of b that the inverse amplifies a thousandfold."""
    n = 100
    q = np.linalg.qr(np.random.default_rng(1).normal(size=(n, n)))[0]
    a = q @ np.diag(np.r_[1e-3, np.linspace(0.5, 1.5, n - 1)]) @ q.T
    b = q[:, 1:].sum(1) / np.sqrt(n) + 1e-3 * q[:, 0]
    expected = np.linalg.solve(a, b)
    matvec = jnp.asarray(a).__matmul__
    refined, report = RefinedSolve(tol=1e-2, rate=0.999)(matvec, jnp.asarray(b), uj.Structure())
    plain, _ = LinearSolve(tol=1e-2)(matvec, jnp.asarray(b), uj.Structure())
    assert relative_error(plain, expected) > 1e-2
    error = float(report.error)  # pyright: ignore[reportAttributeAccessIssue]
    assert relative_error(refined, expected) <= min(1e-2, error)
    assert int(report.status) == uj.Status.CONVERGED


def test_a_singular_adjoint_is_a_failure():
    singular = jnp.asarray(np.diag(np.r_[0.0, np.ones(N - 1)]))
    _, report = RefinedSolve(tol=1e-3)(singular.__matmul__, jnp.ones(N), uj.Structure())
    assert int(report.status) == uj.Status.ADJOINT_BREAKDOWN


def test_bad_arguments_name_themselves():
    with pytest.raises(ValueError, match=r"Auto\(tol=2\)"):
        Auto(2.0)
    with pytest.raises(ValueError, match="max_depth"):
        Auto(max_depth=0)
    with pytest.raises(ValueError, match="on_failure"):
        Auto(on_failure="raise")  # pyright: ignore
    with pytest.raises(ValueError, match=r"Auto\(tol\)"):
        uj.solve(SOLVER, FAST, jnp.zeros(N), gradient=Auto(1e-17))
    with pytest.raises(ValueError, match="Stop"):
        uj.solve(SOLVER, FAST, jnp.zeros(N), gradient=Auto(), stop=uj.Stop(5, None))


def test_the_benchmark_in_short():
    rows = [measure(case) for case in contractions(36, sizes=(N,))]
    assert not missed(rows)
    assert {row.kind for row in rows} == set(KINDS)
    assert summary(rows)["auto_silent"] == 0
    worse = rows[0]._replace(auto=rows[0].auto._replace(error=3.0, trusted=True))
    assert missed([worse]) == [
        "auto: error within tol, or a warning, on 0.0% of the contractions (target 95%)"
    ]


def test_the_benchmark_measures_what_a_gradient_is():
    case = list(contractions(2, sizes=(N,)))[1]
    w = jnp.asarray(np.random.default_rng(case.seed).normal(size=N))
    w = w / jnp.linalg.norm(w)
    given, tol = arrays(case), case.tol
    assert case.cotangent == "random"
    assert case.curvature == 0

    def value(given, mode):
        stop = uj.Stop(20_000, 1e-5)
        return w @ uj.solve(SOLVER, given, jnp.zeros(N), gradient=mode, stop=stop).value

    row = measure(case)
    expected = np.linalg.solve(np.eye(N) - case.matrix.T, w)
    for mode, outcome in ((Auto(tol), row.auto), (uj.Truncated(tol=tol), row.truncated)):
        error = relative_error(jax.grad(value)(given, mode)[1], expected) / tol
        np.testing.assert_allclose(error, outcome.error, rtol=1e-6, atol=1e-9)
