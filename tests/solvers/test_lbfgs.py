import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unrolljax as uj
from unrolljax.solvers.lbfgs import LBFGS, CurvaturePairs, apply_inverse_hessian


@pytest.mark.parametrize("history", [10, 20])
def test_quadratic(quadratic, history):
    assert quadratic.check(LBFGS(history), 80) < 60


def test_batch_in_float32(check_many):
    check_many(LBFGS(), 60)


def test_rosenbrock(check_rosenbrock):
    assert check_rosenbrock(LBFGS(), 100) < 60


def test_complex_unknown(check_complex):
    check_complex(LBFGS(), 40)


def test_two_loop_recursion_is_the_bfgs_inverse():
    random = np.random.default_rng(2)
    steps, scale = random.normal(size=(3, 5)), 0.7
    changes = steps @ np.diag(np.linspace(1, 4, 5))
    inverse = scale * np.eye(5)
    for s, y in zip(steps, changes, strict=True):
        rest = np.eye(5) - np.outer(s, y) / (s @ y)
        inverse = rest @ inverse @ rest.T + np.outer(s, s) / (s @ y)
    blank = np.zeros((2, 5))
    pairs = CurvaturePairs(
        jnp.asarray(np.concatenate([blank, steps])),
        jnp.asarray(np.concatenate([blank, changes])),
        jnp.asarray(np.concatenate([[0, 0], 1 / np.sum(steps * changes, axis=1)])),
        jnp.asarray(scale),
    )
    v = random.normal(size=5)
    np.testing.assert_allclose(apply_inverse_hessian(pairs, jnp.asarray(v)), inverse @ v)


def test_steps_after_convergence_keep_the_unrolled_derivative():
    def solve(target):
        problem = uj.Objective(lambda t, x: jnp.sum(jnp.cosh(x - t)), target)
        stop = uj.Stop(max_steps=60, tol=None)
        start = jnp.array([0.5, -0.5, 1.0])
        return uj.solve(LBFGS(4), problem, start, gradient=uj.Unroll(), stop=stop).value

    jacobian = jax.jacrev(solve)(jnp.array([0.1, 0.2, 0.3]))
    np.testing.assert_allclose(jacobian, np.eye(3), atol=1e-7)


def test_a_start_at_the_solution_stays_there():
    problem = uj.Objective(lambda t, x: jnp.sum((x - t) ** 2), jnp.ones(3))
    solution = uj.solve(LBFGS(), problem, jnp.ones(3), stop=uj.Stop(tol=1e-12))
    assert solution.status == uj.Status.CONVERGED
    assert solution.steps == 1
    np.testing.assert_array_equal(solution.value, 1.0)
