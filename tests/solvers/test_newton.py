import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unrolljax as uj
from unrolljax.solvers.newton import Newton


@pytest.mark.parametrize("linear_solver", ["dense", "cg"])
def test_quadratic(quadratic, linear_solver):
    assert quadratic.check(Newton(linear_solver), 8) <= 3


@pytest.mark.parametrize("linear_solver", ["dense", "cg"])
def test_batch_in_float32(check_many, linear_solver):
    check_many(Newton(linear_solver), 8)


@pytest.mark.parametrize("linear_solver", ["dense", "cg"])
def test_rosenbrock(check_rosenbrock, linear_solver):
    assert check_rosenbrock(Newton(linear_solver), 100) < 40


def test_logistic_regression(check_logistic):
    assert check_logistic(Newton("cg"), 20) <= 8


def test_complex_unknown(check_complex):
    check_complex(Newton(), 10)


@pytest.mark.parametrize("linear_solver", ["dense", "cg"])
def test_leaves_a_concave_region_downhill(linear_solver):
    problem = uj.Objective(lambda _, x: jnp.sum((x**2 - 1) ** 2))
    start, stop = jnp.array([0.1, -0.2]), uj.Stop(max_steps=40, tol=1e-12)
    solution = uj.solve(Newton(linear_solver), problem, start, stop=stop)
    assert solution.status == uj.Status.CONVERGED
    np.testing.assert_allclose(jnp.abs(solution.value), 1.0)


def test_unrolls_a_problem_that_closes_over_what_is_differentiated():
    def solve(target):
        problem = uj.Objective(lambda _, x: jnp.sum(jnp.cosh(x - target)))
        stop = uj.Stop(max_steps=10, tol=1e-12)
        return uj.solve(Newton("cg"), problem, jnp.zeros(3), gradient=uj.Unroll(), stop=stop).value

    np.testing.assert_allclose(jax.jacrev(solve)(jnp.arange(3.0)), np.eye(3), atol=1e-10)


def test_refuses_an_unknown_linear_solver():
    with pytest.raises(ValueError, match="'dense' or 'cg'"):
        Newton("lu")  # pyright: ignore
