"""Diagnostics that refuse differentiation, in both directions and under scan."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unrolljax.core.refuse import refuse_derivative


def diagnose(theta):
    value = jnp.sum(theta**2)
    noted = refuse_derivative((jax.lax.stop_gradient(value), {"count": 3}), theta)
    return value, noted[0]


def test_the_value_passes():
    assert float(diagnose(jnp.asarray([1.0, 2.0]))[1]) == 5


def test_a_derivative_is_nan_forward_and_reverse():
    theta = jnp.asarray([1.0, 2.0])
    assert np.all(np.isnan(jax.grad(lambda t: diagnose(t)[1])(theta)))
    assert np.all(np.isnan(jax.jacfwd(lambda t: diagnose(t)[1])(theta)))


def test_a_diagnostic_that_is_only_logged_harms_nothing():
    def loss(theta):
        def body(carry, _):
            value, noted = diagnose(carry)
            return carry * 0.5, (value, noted)

        _, (values, notes) = jax.lax.scan(body, theta, length=3)
        return jnp.sum(values), notes

    theta = jnp.asarray([1.0, 2.0])
    gradient, notes = jax.jit(jax.grad(loss, has_aux=True))(theta)
    np.testing.assert_allclose(gradient, 2 * theta * (1 + 1 / 4 + 1 / 16))
    np.testing.assert_allclose(notes, [5, 5 / 4, 5 / 16])
    assert np.all(np.isnan(jax.grad(lambda t: jnp.sum(loss(t)[1]))(theta)))


@pytest.mark.parametrize("size", [0, 2])
def test_a_diagnostic_that_no_batch_element_changes_harms_nothing(size):
    def each(theta, element):
        constant = refuse_derivative(jnp.full(size, 3.0), theta * element)
        return theta * element, constant

    @jax.jit
    def loss(theta):
        return jnp.sum(jax.vmap(each, (None, 0))(theta, jnp.arange(4.0))[0])

    assert jax.grad(loss)(jnp.asarray(2.0)) == 6
