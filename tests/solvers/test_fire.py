import jax.numpy as jnp
import numpy as np

import unrolljax as uj
from unrolljax.solvers.fire import FIRE


def test_quadratic(quadratic):
    assert quadratic.check(FIRE(0.02), 800) < 600


def test_batch_in_float32(check_many):
    check_many(FIRE(0.02), 600)


def test_logistic_regression(check_logistic):
    check_logistic(FIRE(0.05), 1000)


def test_complex_unknown(check_complex):
    check_complex(FIRE(0.05), 1000)


def test_relaxes_a_lennard_jones_trimer():
    def energy(sigma, positions):
        apart = positions[jnp.array([0, 0, 1])] - positions[jnp.array([1, 2, 2])]
        attraction = (sigma**2 / jnp.sum(apart**2, axis=1)) ** 3
        return 4 * jnp.sum(attraction**2 - attraction)

    corners = jnp.array([[0.0, 0.0], [1.3, 0.1], [0.4, 1.2]])
    stop = uj.Stop(max_steps=2000, tol=1e-9)
    solution = uj.solve(FIRE(0.005), uj.Objective(energy, 1.0), corners, stop=stop)
    assert solution.status == uj.Status.CONVERGED
    sides = jnp.linalg.norm(solution.value - jnp.roll(solution.value, 1, axis=0), axis=1)
    np.testing.assert_allclose(sides, 2 ** (1 / 6), atol=1e-7)
