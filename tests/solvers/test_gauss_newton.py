import jax
import jax.numpy as jnp
import numpy as np

import unrolljax as uj
from unrolljax.solvers.gauss_newton import GaussNewton


def test_quadratic(quadratic):
    assert quadratic.check(GaussNewton(), 12) <= 8


def test_heavy_damping_is_not_taken_for_convergence(quadratic):
    steps = quadratic.check(GaussNewton(1e12), 60, modes=[uj.Implicit()])
    assert 12 < steps < 40


def test_batch_in_float32(check_many):
    check_many(GaussNewton(), 12)


def test_rosenbrock(check_rosenbrock):
    assert check_rosenbrock(GaussNewton(), 200) < 100


def test_complex_unknown(check_complex):
    check_complex(GaussNewton(), 20)


def test_unrolled_derivative_with_large_residuals():
    def solve(parameters, gradient):
        problem = uj.Residuals(
            lambda p, x: jnp.concatenate([jnp.exp(x * p[0]) - p[1], x + 1.0]), parameters
        )
        stop = uj.Stop(max_steps=120, tol=1e-12)
        return uj.solve(GaussNewton(), problem, jnp.zeros(2), gradient=gradient, stop=stop).value

    parameters = jnp.array([0.5, 1.5])
    unrolled = jax.jacrev(solve)(parameters, uj.Unroll())
    np.testing.assert_allclose(unrolled, jax.jacrev(solve)(parameters, uj.Implicit()), rtol=1e-7)
