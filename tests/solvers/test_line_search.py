import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unrolljax.solvers.line_search import backtracking


def length_along(function, v, direction):
    value, slope = jax.value_and_grad(function)(v)
    return backtracking(function, v, direction, value, slope @ direction)


@pytest.mark.parametrize(
    ("stretch", "expected"), [(1.0, 1.0), (1.9, 1.0), (3.0, 0.5), (50.0, 2**-5)]
)
def test_takes_the_first_halving_that_lowers_a_parabola(stretch, expected):
    v = jnp.array([1.0, -2.0])
    assert length_along(lambda u: u @ u / 2, v, -stretch * v) == expected


def test_uphill_is_refused_and_a_negligible_step_is_taken():
    v = jnp.array([1.0, -2.0])
    assert length_along(lambda u: u @ u / 2, v, v) == 0
    assert length_along(lambda u: u @ u / 2, v, 1e-14 * v) == 1


def test_backs_out_of_a_region_where_the_function_is_not_finite():
    v = jnp.array([1.0])
    assert length_along(lambda u: u[0] - jnp.log(u[0]) / 2, v, jnp.array([-4.0])) == 0.125


def test_carries_no_derivative_and_lets_others_pass():
    def moved(scale, v):
        function = lambda u: scale * (u @ u) / 2  # noqa: E731
        slope = jax.grad(function)(v)
        return v - length_along(function, v, -slope) * slope

    v = jnp.array([1.0, -2.0])
    for differentiate in (jax.jacrev, jax.jacfwd):
        found = jax.jit(jax.vmap(differentiate(moved), in_axes=(0, None)))(jnp.array([0.5, 3.0]), v)
        np.testing.assert_allclose(found, -np.outer([1.0, 0.5], v))
