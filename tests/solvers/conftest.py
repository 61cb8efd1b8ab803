"""Problems with known solutions, to which every solver without constraints is held."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from jax.test_util import check_grads

import unrolljax as uj

SIZE = 20
_random = np.random.default_rng(0)
ROTATION = np.linalg.qr(_random.normal(size=(SIZE, SIZE)))[0]
MATRIX = np.sqrt(np.linspace(0.5, 99.5, SIZE))[:, None] * ROTATION
WEIGHTS = _random.normal(size=SIZE)
TARGET = np.where(_random.random(SIZE) < 0.5, -1.0, 1.0)
"""Along the left singular vectors of MATRIX: every curvature is met on the way to the solution."""


def ridge_residuals(parameters, x):
    """Half their squares is |A x - target|^2 / 2 + sum(ridge x^2) / 2."""
    target, ridge = parameters
    return jnp.asarray(MATRIX, x.dtype) @ x - target, jnp.sqrt(ridge) * x


class Quadratic(NamedTuple):
    """Ridge regression with curvatures from 1 to 100 and a linear loss of its solution."""

    matrix: np.ndarray
    parameters: tuple
    solution: np.ndarray
    gradient: tuple

    def problem(self, dtype=float):
        return uj.Residuals(ridge_residuals, tuple(jnp.asarray(p, dtype) for p in self.parameters))

    def check(self, solver, max_steps, problem=None, modes=None, tol=1e-12):
        """Assert solution, status and gradients against the closed form; return the steps."""
        problem = self.problem() if problem is None else problem
        stop = uj.Stop(max_steps=max_steps, tol=tol)

        @eqx.filter_jit
        @eqx.filter_grad(has_aux=True)
        def gradient(problem, mode):
            solution = uj.solve(solver, problem, jnp.zeros(SIZE), gradient=mode, stop=stop)
            return jnp.asarray(WEIGHTS) @ solution.value, solution

        for mode in modes or (uj.Implicit(), uj.Unroll()):
            found, solution = gradient(problem, mode)
            assert solution.status == uj.Status.CONVERGED
            np.testing.assert_allclose(solution.value, self.solution, atol=1e-9)
            for exact, computed in zip(self.gradient, found.parameters, strict=True):
                np.testing.assert_allclose(
                    computed, exact, atol=1e-7 * np.linalg.norm(exact), rtol=0, err_msg=str(mode)
                )
        return int(solution.steps)


@pytest.fixture(scope="session")
def quadratic():
    ridge = np.full(SIZE, 0.5)
    hessian = MATRIX.T @ MATRIX + np.diag(ridge)
    solution = np.linalg.solve(hessian, MATRIX.T @ TARGET)
    adjoint = np.linalg.solve(hessian, WEIGHTS)
    return Quadratic(MATRIX, (TARGET, ridge), solution, (MATRIX @ adjoint, -adjoint * solution))


@pytest.fixture(scope="session")
def check_many(quadratic):
    """Solve a batch of quadratics under jit and vmap in float32; assert each solution."""

    def check(solver, max_steps, tol=1e-5, wrap=lambda problem: problem):
        targets = jnp.asarray(np.stack([TARGET, -2 * TARGET, np.zeros(SIZE)]), jnp.float32)
        ridge = jnp.asarray(quadratic.parameters[1], jnp.float32)

        def solve(target):
            problem = wrap(uj.Residuals(ridge_residuals, (target, ridge)))
            start = jnp.zeros(SIZE, jnp.float32)
            return uj.solve(solver, problem, start, stop=uj.Stop(max_steps=max_steps, tol=tol))

        batch = eqx.filter_jit(eqx.filter_vmap(solve))(targets)
        assert batch.value.dtype == jnp.float32
        assert np.all(np.asarray(batch.status) == uj.Status.CONVERGED)
        expected = np.outer([1.0, -2.0, 0.0], quadratic.solution)
        np.testing.assert_allclose(batch.value, expected, atol=2e-3)
        return batch

    return check


def _complex_residuals(target, x):
    """Zero where the solution is; not holomorphic; with the structure of x."""
    z, s = x["z"], x["s"]
    first = 1.5 * z + 0.3j * z[::-1] + 0.4 * jnp.conj(z) - target
    return {"z": first, "s": 2 * s - jnp.real(z[0])}


@pytest.fixture(scope="session")
def check_complex():
    """Solve for a pytree with complex leaves; assert the equations and unroll against implicit."""

    def check(solver, max_steps):
        target = jnp.array([1.0 + 2.0j, 0.5 - 1.0j])
        start = {"z": jnp.zeros(2, complex), "s": jnp.zeros(())}
        stop = uj.Stop(max_steps=max_steps, tol=1e-11)

        def loss(target, mode):
            problem = uj.Residuals(_complex_residuals, target)
            solution = uj.solve(solver, problem, start, gradient=mode, stop=stop)
            x = solution.value
            return x["s"] + jnp.imag(x["z"][1]) + jnp.real(x["z"][0]) ** 2, solution

        gradient = eqx.filter_jit(eqx.filter_grad(loss, has_aux=True))
        implicit, solution = gradient(target, uj.Implicit())
        unrolled, _ = gradient(target, uj.Unroll())
        assert solution.status == uj.Status.CONVERGED
        residuals = _complex_residuals(target, solution.value)
        assert uj.core.trees.norm(residuals) < 1e-9
        assert jnp.linalg.norm(implicit) > 0.1
        np.testing.assert_allclose(unrolled, implicit, atol=1e-7)

    return check


def _logistic(parameters, x):
    features = jnp.asarray(np.random.default_rng(1).normal(size=(30, 6)))
    offset, ridge = parameters
    return jnp.sum(jnp.logaddexp(0, offset - features @ x)) + ridge * jnp.sum(x**2) / 2


def _rosenbrock_residuals(parameters, x):
    """The valley, with a third residual so that they are not all zero at the minimum."""
    valley, height = parameters
    return jnp.stack([10 * (x[1] - x[0] ** 2), valley - x[0], height * x[1]])


def _check_against_scipy(solver, make, parameters, start, max_steps):
    """Assert minimiser against scipy's and implicit gradient against differences; the steps."""
    stop = uj.Stop(max_steps=max_steps, tol=1e-11)

    @jax.jit
    def solve(parameters):
        return uj.solve(solver, make(parameters), start, stop=stop)

    solution = solve(parameters)
    assert solution.status == uj.Status.CONVERGED
    both = jax.jit(jax.value_and_grad(lambda x: make(parameters).objective(x)))
    peer = scipy.optimize.minimize(both, start, jac=True, tol=1e-11)
    np.testing.assert_allclose(solution.value, peer.x, atol=1e-7)
    check_grads(
        lambda p: solve(p).value,
        (parameters,),
        order=1,
        modes=["rev"],
        atol=1e-7,
        eps=1e-4,
        rtol=1e-6,
    )
    return int(solution.steps)


@pytest.fixture(scope="session")
def check_logistic():
    """Regularised logistic regression against scipy and finite differences."""

    def check(solver, max_steps):
        make = lambda p: uj.Objective(_logistic, p)  # noqa: E731
        return _check_against_scipy(solver, make, jnp.array([0.3, 0.7]), jnp.zeros(6), max_steps)

    return check


@pytest.fixture(scope="session")
def check_rosenbrock():
    """Rosenbrock's valley from the wrong side of it, against scipy and finite differences."""

    def check(solver, max_steps):
        make = lambda p: uj.Residuals(_rosenbrock_residuals, p)  # noqa: E731
        start = jnp.array([-1.2, 1.0])
        return _check_against_scipy(solver, make, jnp.array([1.0, 0.2]), start, max_steps)

    return check
