"""Truncated, one-step and Neumann gradients: what each one is exactly, and what it neglects."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unrolljax as uj
from unrolljax.gradients.truncated import carry_back

RANDOM = np.random.default_rng(2)
N = 6
Q = np.linalg.qr(RANDOM.normal(size=(N, N)))[0]
J = jnp.asarray(Q @ np.diag(np.linspace(0.1, 0.8, N)) @ Q.T)
STOP = uj.Stop(400, 1e-13)


def affine(theta, x):
    return J @ x + theta


def gradient(mode, stop=STOP, theta=None):
    theta = jnp.asarray(np.linspace(1, 2, N)) if theta is None else theta
    weights = jnp.asarray(RANDOM_WEIGHTS)

    def loss(theta):
        return (
            weights
            @ uj.solve(uj.FixedPoint(affine), theta, jnp.zeros(N), gradient=mode, stop=stop).value
        )

    return jax.grad(loss)(theta)


RANDOM_WEIGHTS = RANDOM.normal(size=N)


def partial_sum(terms):
    return sum(np.linalg.matrix_power(np.asarray(J).T, k) @ RANDOM_WEIGHTS for k in range(terms))


def test_each_mode_is_its_partial_sum():
    np.testing.assert_allclose(gradient(uj.OneStep()), partial_sum(1), rtol=1e-12)
    np.testing.assert_allclose(gradient(uj.Neumann(terms=7)), partial_sum(7), rtol=1e-12)
    np.testing.assert_allclose(gradient(uj.Truncated(depth=7)), partial_sum(7), rtol=1e-12)
    fixed = uj.Stop(50, None)
    np.testing.assert_allclose(gradient(uj.Truncated(depth=7), fixed), partial_sum(7), rtol=1e-12)
    np.testing.assert_allclose(gradient(uj.Unroll(), fixed), partial_sum(50), rtol=1e-12)


@pytest.mark.parametrize("tol", [1e-1, 1e-3, 1e-6, 1e-9])
def test_automatic_depth_neglects_less_than_tol(tol):
    exact = np.linalg.solve(np.eye(N) - np.asarray(J).T, RANDOM_WEIGHTS)
    error = np.linalg.norm(gradient(uj.Truncated(tol=tol)) - exact) / np.linalg.norm(exact)
    assert error <= tol


@pytest.mark.parametrize("seed", range(12))
def test_the_forward_ratio_guards_against_adversarial_cotangents(seed):
    """A cotangent that starts in a fast direction: the adjoint's own ratio says stop too soon."""
    random = np.random.default_rng(seed)
    q = np.linalg.qr(random.normal(size=(N, N)))[0]
    rates = np.r_[0.9, random.uniform(0.05, 0.3, N - 1)]
    jacobian = jnp.asarray(q @ np.diag(rates) @ q.T)
    cotangent = jnp.asarray(q[:, 1:].sum(1) + 0.02 * q[:, 0])
    exact = np.linalg.solve(np.eye(N) - np.asarray(jacobian).T, cotangent)
    total, enough, _ = carry_back(
        lambda a: jacobian.T @ a, cotangent, jnp.asarray(0.9), jnp.asarray(1e-2), 1000
    )
    assert bool(enough)
    assert np.linalg.norm(total - exact) <= 1e-2 * np.linalg.norm(exact)


def test_the_depth_is_bounded_and_the_bound_is_a_failure():
    assert np.all(np.isnan(gradient(uj.Truncated(tol=1e-9, max_depth=5))))
    finite = gradient(uj.Truncated(tol=1e-9, max_depth=5, on_failure="ignore"))
    np.testing.assert_allclose(finite, partial_sum(5), rtol=1e-12)


@pytest.mark.parametrize("mode", [uj.Truncated(), uj.Neumann()], ids=["auto", "neumann"])
def test_an_unconverged_solve_has_no_gradient(mode):
    assert np.all(np.isnan(gradient(mode, uj.Stop(5, 1e-12))))


def test_truncated_diagnostics_cover_head_and_tail():
    def solution(stop, depth):
        return uj.solve(
            uj.FixedPoint(affine), jnp.ones(N), jnp.zeros(N),
            gradient=uj.Truncated(depth=depth), stop=stop,
        )  # fmt: skip

    plain = uj.solve(uj.FixedPoint(affine), jnp.ones(N), jnp.zeros(N), stop=STOP)
    late = solution(STOP, 10)
    assert int(late.status) == uj.Status.CONVERGED
    assert int(late.steps) == int(plain.steps) + 10
    enough = solution(uj.Stop(int(plain.steps) + 3, 1e-13), 10)
    assert int(enough.status) == uj.Status.CONVERGED
    assert int(enough.steps) == int(plain.steps) + 3
    short = solution(uj.Stop(20, 1e-13), 10)
    assert int(short.status) == uj.Status.MAX_STEPS
    assert int(short.steps) == 20


def test_states_carry_the_derivative_too():
    def state_loss(theta, mode):
        solution = uj.solve(uj.FixedPoint(affine), theta, jnp.zeros(N), gradient=mode, stop=STOP)
        return jnp.sum(jnp.sin(solution.state))

    def value_loss(theta, mode):
        solution = uj.solve(uj.FixedPoint(affine), theta, jnp.zeros(N), gradient=mode, stop=STOP)
        return jnp.sum(jnp.sin(solution.value))

    theta = jnp.ones(N)
    for mode in (uj.Truncated(), uj.Truncated(depth=5), uj.OneStep(), uj.Neumann(), uj.Unroll()):
        np.testing.assert_allclose(
            jax.grad(state_loss)(theta, mode), jax.grad(value_loss)(theta, mode), rtol=1e-12
        )


def test_diagnostics_refuse_differentiation_in_every_mode():
    def residual(theta, mode):
        return uj.solve(
            uj.FixedPoint(affine), theta, jnp.zeros(N), gradient=mode, stop=STOP
        ).residual

    for mode in (uj.Truncated(), uj.Truncated(depth=5), uj.OneStep(), uj.Neumann(), uj.Unroll()):
        assert np.all(np.isnan(jax.grad(residual)(jnp.ones(N), mode)))


def test_detach_is_constant():
    assert not np.any(gradient(uj.Detach()))


def test_forward_mode_and_second_derivatives_of_neumann():
    def curved(theta, x):
        return 0.4 * jnp.sin(x) + theta

    def value(theta, mode):
        return uj.solve(uj.FixedPoint(curved), theta, 0.0, gradient=mode, stop=STOP).value

    exact = uj.Implicit(tol=1e-12, ad="both")
    np.testing.assert_allclose(
        jax.jacfwd(value)(0.3, uj.Neumann(80)), jax.jacfwd(value)(0.3, exact), rtol=1e-10
    )
    np.testing.assert_allclose(
        jax.hessian(value)(0.3, uj.Neumann(80)), jax.hessian(value)(0.3, exact), rtol=1e-10
    )
