"""Implicit differentiation: every transformation, every returned field, every failure."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unrolljax as uj

RANDOM = np.random.default_rng(1)
N = 7
A = jnp.asarray(RANDOM.normal(size=(12, N)) / 3)
Y = jnp.asarray(RANDOM.normal(size=12))
STOP = uj.Stop(max_steps=2000, tol=1e-13)
BOTH = [uj.Implicit(tol=1e-12), uj.Implicit(tol=1e-12, ad="both")]


class Ridge(eqx.Module):
    matrix: jax.Array
    data: jax.Array
    weight: jax.Array

    def objective(self, x):
        return jnp.sum((self.matrix @ x - self.data) ** 2) / 2 + self.weight * jnp.sum(x**2) / 2

    def solution(self):
        normal = self.matrix.T @ self.matrix + self.weight * jnp.eye(N)
        return jnp.linalg.solve(normal, self.matrix.T @ self.data)


RIDGE = Ridge(A, Y, jnp.asarray(0.4))


def ridge_loss(problem, mode, stop=STOP):
    solution = uj.solve(uj.GradientDescent(0.2), problem, jnp.zeros(N), gradient=mode, stop=stop)
    return jnp.sum(jnp.sin(solution.value))


def exact_loss(problem):
    return jnp.sum(jnp.sin(problem.solution()))


def assert_close(found, expected, rtol=1e-9):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * (1 + np.max(np.abs(b))))


@pytest.mark.parametrize("mode", BOTH, ids=["reverse", "both"])
def test_gradient_under_jit_vmap_scan_and_jacrev(mode):
    expected = jax.grad(exact_loss)(RIDGE)
    assert_close(jax.grad(ridge_loss)(RIDGE, mode), expected)
    assert_close(jax.jit(jax.grad(ridge_loss))(RIDGE, mode), expected)

    def of_weight(weight):
        return uj.solve(
            uj.GradientDescent(0.2), Ridge(A, Y, weight), jnp.zeros(N), gradient=mode, stop=STOP
        ).value

    weights = jnp.asarray([0.2, 0.4, 0.9])
    exact = jax.jacrev(lambda w: Ridge(A, Y, w).solution())
    assert_close(jax.vmap(jax.jacrev(of_weight))(weights), jax.vmap(exact)(weights))

    def scanned(scale):
        total, _ = jax.lax.scan(
            lambda c, w: (c + jnp.sum(of_weight(scale * w) ** 2), None), 0.0, weights
        )
        return total

    def scanned_exactly(scale):
        return sum(jnp.sum(Ridge(A, Y, scale * w).solution() ** 2) for w in weights)

    assert_close(jax.grad(scanned)(1.3), jax.grad(scanned_exactly)(1.3))


def test_forward_mode_and_hessians():
    def of_weight(weight, mode):
        return ridge_loss(Ridge(A, Y, weight), mode)

    def exact(weight):
        return exact_loss(Ridge(A, Y, weight))

    both, reverse = BOTH[1], BOTH[0]
    assert_close(jax.jacfwd(of_weight)(0.4, both), jax.jacfwd(exact)(0.4))
    assert_close(jax.hessian(of_weight)(0.4, both), jax.hessian(exact)(0.4))
    assert_close(jax.jacrev(jax.grad(of_weight))(0.4, reverse), jax.hessian(exact)(0.4))
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jacfwd(of_weight)(0.4, reverse)


@pytest.mark.parametrize("mode", BOTH, ids=["reverse", "both"])
def test_every_returned_field_is_right_or_nan(mode):
    def field(problem, name):
        solution = uj.solve(
            uj.GradientDescent(0.2, 0.3), problem, jnp.zeros(N), gradient=mode, stop=STOP
        )
        fields = {
            "objective": solution.objective,
            "state": jnp.sum(solution.state.x**3) + jnp.sum(solution.state.velocity),
            "residual": solution.residual,
            "rate": solution.info.rate,
            "first": solution.info.first_residual,
        }
        return fields[name]

    expected = jax.grad(lambda p: p.objective(p.solution()))(RIDGE)
    assert_close(jax.grad(field)(RIDGE, "objective"), expected)
    expected = jax.grad(lambda p: jnp.sum(p.solution() ** 3))(RIDGE)
    assert_close(jax.grad(field)(RIDGE, "state"), expected)
    for name in ("residual", "rate", "first"):
        assert all(np.all(np.isnan(v)) for v in jax.tree.leaves(jax.grad(field)(RIDGE, name)))


def test_the_start_has_no_derivative():
    def of_start(x0):
        return jnp.sum(uj.solve(uj.GradientDescent(0.2), RIDGE, x0, stop=STOP).value)

    assert not np.any(jax.grad(of_start)(jnp.ones(N)))


@pytest.mark.parametrize("mode", BOTH, ids=["reverse", "both"])
@pytest.mark.parametrize(
    ("step_size", "stop"),
    [(0.2, uj.Stop(3, 1e-12)), (4.0, uj.Stop(60, 1e-12)), (jnp.nan, uj.Stop(60, 1e-12))],
    ids=["max steps", "divergence", "nan"],
)
def test_a_failed_solve_has_no_gradient(mode, step_size, stop):
    def loss(problem, mode):
        solver = uj.GradientDescent(step_size)
        return jnp.sum(uj.solve(solver, problem, jnp.zeros(N), gradient=mode, stop=stop).value)

    gradient = jax.grad(loss)(RIDGE, mode)
    assert all(np.all(np.isnan(v)) for v in jax.tree.leaves(gradient))
    ignoring = uj.Implicit(tol=1e-9, ad=mode.ad, on_failure="ignore")
    if np.isfinite(step_size) and step_size < 1:
        assert all(np.all(np.isfinite(v)) for v in jax.tree.leaves(jax.grad(loss)(RIDGE, ignoring)))


@pytest.mark.parametrize("mode", BOTH, ids=["reverse", "both"])
def test_a_divergent_map_has_no_plausible_gradient(mode):
    """The map x -> 3x + theta: the formula gives -1/2, and nothing was solved."""

    def value(theta):
        return uj.solve(
            uj.FixedPoint(lambda t, x: 3 * x + t), theta, 0.0, gradient=mode, stop=uj.Stop(50)
        ).value

    assert np.isnan(jax.grad(value)(1.0))


@pytest.mark.parametrize("ad", ["reverse", "both"])
def test_a_singular_hessian_has_no_gradient(ad):
    """The minimum of x^4: the condition's Jacobian is zero there."""

    def value(theta):
        problem = uj.Objective(lambda t, x: jnp.sum((x - t) ** 4) / 4, theta)
        return jnp.sum(
            uj.solve(
                uj.GradientDescent(0.1), problem, theta * jnp.ones(3),
                gradient=uj.Implicit(ad=ad), stop=uj.Stop(10, 1e-6),
            ).value
        )  # fmt: skip

    assert np.isnan(jax.grad(value)(1.0))


def test_one_failing_element_poisons_only_its_own_gradient():
    def value(theta):
        return uj.solve(uj.FixedPoint(lambda t, x: t * x + 1.0), theta, 0.0, stop=STOP).value

    gradients = jax.vmap(jax.grad(value))(jnp.asarray([0.2, 3.0, 0.5]))
    np.testing.assert_allclose(gradients, [1 / 0.8**2, np.nan, 4], rtol=1e-9)


def test_pull_back_reports_and_warm_starts():
    solver, stop = uj.GradientDescent(0.2), STOP
    solution = uj.solve(solver, RIDGE, jnp.zeros(N), stop=stop)
    cotangent = jnp.cos(solution.value)
    mode = uj.Implicit(linear_solver="cg", tol=1e-10)
    (_, bar), adjoint, report = mode.pull_back(solver, RIDGE, solution.value, cotangent)
    assert_close(bar, jax.grad(exact_loss)(RIDGE))
    assert int(report.status) == uj.Status.CONVERGED
    assert int(report.steps) > 2
    warm = uj.Implicit(linear_solver="cg", tol=1e-10, guess=adjoint)
    *_, again = warm.pull_back(solver, RIDGE, solution.value, cotangent)
    assert int(again.steps) <= 1
    assert_close(jax.grad(ridge_loss)(RIDGE, warm), jax.grad(exact_loss)(RIDGE))


def test_a_preconditioner_of_the_problem_is_used():
    scales = jnp.asarray(np.logspace(0, 4, 90))

    def report(mode):
        problem = uj.Objective(lambda t, x: jnp.sum(t * x**2) / 2 - jnp.sum(x), scales)
        return mode.pull_back(uj.GradientDescent(1e-4), problem, 1 / scales, jnp.ones(90))[2]

    def inverse(problem, x):
        del x
        return lambda v: v / problem.parameters

    plain, helped = uj.Implicit(), uj.Implicit(preconditioner=inverse)
    assert int(report(helped).steps) <= 2 < int(report(plain).steps)


class Lasso(eqx.Module):
    weight: jax.Array

    def smooth(self, x):
        return jnp.sum((A @ x - Y) ** 2) / 2

    def penalty(self, x):
        return self.weight * uj.prox.l1_norm(x)

    def prox(self, v, step):
        return uj.prox.l1(v, step * self.weight)

    def support(self, x):
        return x != 0


@pytest.mark.parametrize("capacity", [None, 3, 5])
def test_support_and_its_capacity(capacity):
    def value(weight, capacity):
        return jnp.sum(
            uj.solve(
                uj.solvers.ProximalGradient(0.3), Lasso(weight), jnp.zeros(N),
                gradient=uj.Implicit(tol=1e-12, capacity=capacity), stop=STOP,
            ).value ** 2
        )  # fmt: skip

    x = uj.solve(uj.solvers.ProximalGradient(0.3), Lasso(1.0), jnp.zeros(N), stop=STOP).value
    on = np.flatnonzero(x)
    assert 0 < len(on) <= 5
    active = np.asarray(A)[:, on]
    expected = -2 * x[on] @ np.linalg.solve(active.T @ active, np.sign(x[on]))
    gradient = jax.grad(value)(1.0, capacity)
    if capacity is not None and capacity < len(on):
        assert np.isnan(gradient)
    else:
        np.testing.assert_allclose(gradient, expected, rtol=1e-9)


def test_a_capacity_beyond_the_dense_size_has_the_fallback_too():
    """Its normal equations transpose the gathering."""

    def value(weight):
        problem = uj.sparse.Lasso(jnp.eye(70), jnp.arange(70.0), weight)
        mode = uj.Implicit(capacity=70)
        solver = uj.solvers.ProximalGradient(1.0)
        return jnp.sum(uj.solve(solver, problem, jnp.zeros(70), gradient=mode, stop=STOP).value)

    assert jax.grad(value)(1.5) == pytest.approx(-68)


def test_capacity_exceeded_is_a_status():
    solver = uj.solvers.ProximalGradient(0.3)
    x = uj.solve(solver, Lasso(0.1), jnp.zeros(N), stop=STOP).value
    *_, report = uj.Implicit(capacity=1).pull_back(solver, Lasso(0.1), x, x)
    assert int(report.status) == uj.Status.CAPACITY_EXCEEDED
