"""Decorators for solvers that are not ours, with jaxopt's as oracle."""

import jax
import jax.numpy as jnp
import jaxopt
import numpy as np
import pytest

from unrolljax.core.solver import Structure
from unrolljax.gradients.roots import implicit_fixed_point, implicit_root, root_jvp, root_vjp

RANDOM = np.random.default_rng(5)
X = jnp.asarray(RANDOM.normal(size=(20, 4)))
Y = jnp.asarray(RANDOM.normal(size=20))
SPD = Structure(symmetric=True, positive_definite=True)


def gradient(x, weight, data):
    return X.T @ (X @ x - data) + weight * x


def ridge(x0, weight, data):
    del x0
    return jnp.linalg.solve(X.T @ X + weight * jnp.eye(4), X.T @ data)


def loss(solver):
    return lambda weight, data: jnp.sum(jnp.sin(solver(None, weight, data)))


@pytest.mark.parametrize("ad", ["reverse", "both"])
def test_implicit_root_agrees_with_the_closed_form_and_jaxopt(ad):
    ours = implicit_root(gradient, structure=SPD, ad=ad)(ridge)
    theirs = jaxopt.implicit_diff.custom_root(gradient)(ridge)
    exact = jax.grad(loss(ridge), (0, 1))(0.5, Y)
    for solver in (ours, theirs):
        found = jax.grad(loss(solver), (0, 1))(0.5, Y)
        for a, b in zip(found, exact, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-7)
    if ad == "both":
        np.testing.assert_allclose(
            jax.jacfwd(ours, 1)(None, 0.5, Y), jax.jacfwd(ridge, 1)(None, 0.5, Y), atol=1e-9
        )


def test_keyword_arguments_are_differentiated():
    ours = implicit_root(gradient)(ridge)
    found = jax.grad(lambda w: jnp.sum(ours(None, weight=w, data=Y)))(0.5)
    np.testing.assert_allclose(
        found, jax.grad(lambda w: jnp.sum(ridge(None, w, Y)))(0.5), rtol=1e-9
    )


def test_aux_is_passed_on_and_refuses_differentiation():
    @implicit_root(gradient, has_aux=True)
    def solver(x0, weight, data):
        return ridge(x0, weight, data), {"residual": jnp.sum(data), "steps": 3}

    _, aux = solver(None, 0.5, Y)
    assert int(aux["steps"]) == 3
    np.testing.assert_allclose(aux["residual"], jnp.sum(Y))
    found = jax.grad(lambda w: jnp.sum(solver(None, w, Y)[0]))(0.5)
    assert np.isfinite(found)
    assert np.isnan(jax.grad(lambda w: solver(None, w, Y)[1]["residual"])(0.5))


def test_argnums_choose_what_is_differentiated():
    only_data = implicit_root(gradient, argnums=(1,))(ridge)
    weight_bar, data_bar = jax.grad(loss(only_data), (0, 1))(0.5, Y)
    assert not np.any(weight_bar)
    np.testing.assert_allclose(data_bar, jax.grad(loss(ridge), 1)(0.5, Y), atol=1e-9)
    with pytest.raises(ValueError, match="argnums"):
        implicit_root(gradient, argnums=(2,))(ridge)(None, 0.5, Y)


def test_a_condition_may_close_over_a_traced_array():
    def value(weight):
        @implicit_root(lambda x, data: gradient(x, weight, data))
        def solver(x0, data):
            return ridge(x0, jax.lax.stop_gradient(weight), data)

        return jnp.sum(jnp.sin(solver(None, Y)))

    np.testing.assert_allclose(jax.grad(value)(0.5), jax.grad(loss(ridge))(0.5, Y), rtol=1e-9)


def test_a_solver_outside_jax():
    def by_numpy(x0, weight, data):
        del x0
        return jnp.asarray(np.linalg.lstsq(
            np.vstack([X, np.sqrt(weight) * np.eye(4)]), np.r_[data, np.zeros(4)], rcond=None
        )[0])  # fmt: skip

    ours = implicit_root(gradient, structure=SPD)(by_numpy)
    np.testing.assert_allclose(
        jax.grad(loss(ours))(0.5, Y), jax.grad(loss(ridge))(0.5, Y), rtol=1e-9
    )


def test_a_result_that_is_no_root_has_no_gradient():
    def lazy(x0, weight, data):
        return ridge(x0, weight, data) + 0.01

    checked = implicit_root(gradient, tol=1e-6)(lazy)
    assert np.isnan(jax.grad(loss(checked))(0.5, Y))
    passed = implicit_root(gradient, tol=1e-6)(ridge)
    assert np.isfinite(jax.grad(loss(passed))(0.5, Y))


def test_implicit_fixed_point():
    def cosine(x, theta):
        return 0.5 * jnp.cos(x) + theta

    @implicit_fixed_point(cosine)
    def solver(x0, theta):
        return jax.lax.fori_loop(0, 60, lambda _, x: cosine(x, theta), x0)

    x = solver(0.0, 0.3)
    np.testing.assert_allclose(jax.grad(solver, 1)(0.0, 0.3), 1 / (1 + 0.5 * np.sin(x)), rtol=1e-9)


def test_root_products_agree_with_jaxopt():
    x, weight = ridge(None, 0.5, Y), jnp.asarray(0.5)
    cotangent, tangents = jnp.cos(x), (jnp.asarray(0.3), jnp.asarray(RANDOM.normal(size=20)))
    ours = root_vjp(gradient, x, (weight, Y), cotangent, structure=SPD)
    theirs = jaxopt.implicit_diff.root_vjp(gradient, x, (weight, Y), cotangent)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-7)
    forward = root_jvp(gradient, x, (weight, Y), tangents, structure=SPD)
    np.testing.assert_allclose(
        forward, jaxopt.implicit_diff.root_jvp(gradient, x, (weight, Y), tangents), atol=1e-7
    )
    np.testing.assert_allclose(
        forward @ cotangent, ours[0] * tangents[0] + ours[1] @ tangents[1], rtol=1e-9
    )
    singular = root_vjp(lambda x, t: jnp.sum(x) * jnp.ones(4) - t, x, (jnp.ones(4),), cotangent)
    assert np.all(np.isnan(singular[0]))
