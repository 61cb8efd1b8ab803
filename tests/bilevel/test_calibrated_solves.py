"""`least_squares` of residuals that hold an inner solve."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unrolljax as uj
from unrolljax import bilevel


def as_vector(tree):
    return np.asarray(jax.flatten_util.ravel_pytree(tree)[0])


def equilibrium(theta, forces, stop):
    """Displacements u of hardening springs: stiffness u + hardening u^3 = force."""
    problem = uj.Residuals(
        lambda p, u: p[0]["stiffness"] * u + p[0]["hardening"] * u**3 - p[1], (theta, forces)
    )
    return uj.solve(
        uj.solvers.NewtonRoot(),
        problem,
        jnp.zeros_like(forces),
        gradient=uj.Implicit(ad="both", tol=1e-12),
        stop=stop,
    )


def springs(theta, forces, measured, stop):
    return equilibrium(theta, forces, stop).value - measured


def test_an_inner_solve_is_calibrated_through_its_implicit_jacobian():
    stop, forces = uj.Stop(30, 1e-13), jnp.linspace(0.5, 4.0, 8)
    truth = {"stiffness": jnp.asarray(1.7), "hardening": jnp.asarray(0.6)}
    measured = equilibrium(truth, forces, stop).value
    start = {"stiffness": 1.0, "hardening": 1.0}
    fit = bilevel.least_squares(springs, start, args=(forces, measured, stop)).raise_if_failed()
    np.testing.assert_allclose(as_vector(fit.theta), as_vector(truth), rtol=1e-8)
    v, step = jnp.array([1.0, 1.3]), 1e-5
    jacobian = fit.problem.jacobian(v)[1]
    for entry in range(2):
        move = step * jnp.eye(2)[entry]
        slope = (fit.problem.data(v + move) - fit.problem.data(v - move)) / (2 * step)
        np.testing.assert_allclose(jacobian[:, entry], slope, rtol=1e-8)


def test_a_failed_inner_solve_becomes_a_status():
    forces = jnp.linspace(0.5, 4.0, 8)
    start = {"stiffness": 1.0, "hardening": 1.0}
    fit = bilevel.least_squares(springs, start, args=(forces, forces, uj.Stop(2, 1e-13)))
    assert fit.status == uj.Status.NONFINITE
    assert np.isnan(np.asarray(fit.covariance)).all()
    with pytest.raises(uj.SolveFailed, match="inner solve"):
        fit.raise_if_failed()
