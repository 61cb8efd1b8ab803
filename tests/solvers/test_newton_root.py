import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from jax.test_util import check_grads

import unrolljax as uj
from unrolljax.solvers.newton_root import NewtonRoot


class NormalEquations(eqx.Module):
    """The gradient of a least-squares problem as a square system."""

    squares: uj.Residuals

    @property
    def parameters(self):
        return self.squares.parameters

    def residuals(self, x):
        return jax.grad(self.squares.objective)(x)


@pytest.mark.parametrize("linear_solver", ["dense", "gmres"])
def test_quadratic(quadratic, linear_solver):
    problem = NormalEquations(quadratic.problem())
    steps = quadratic.check(NewtonRoot(linear_solver), 6, problem)
    assert steps <= 3


def test_batch_in_float32(check_many):
    check_many(NewtonRoot("dense"), 8, wrap=NormalEquations)


def test_complex_unknown(check_complex):
    check_complex(NewtonRoot("dense"), 6)


def coupled(parameters, x):
    a, b = parameters
    return jnp.stack(
        [x[0] ** 3 + a * x[1] - 1, jnp.sinh(x[1]) - b * x[0] + x[2], x[2] - x[0] * x[1]]
    )


@pytest.mark.parametrize("linear_solver", ["dense", ("bicgstab", "dense")])
def test_nonlinear_root(linear_solver):
    @jax.jit
    def solve(parameters):
        problem, stop = uj.Residuals(coupled, parameters), uj.Stop(max_steps=60, tol=1e-12)
        return uj.solve(NewtonRoot(linear_solver), problem, jnp.ones(3), stop=stop)

    parameters = jnp.array([0.6, 1.3])
    solution = solve(parameters)
    assert solution.status == uj.Status.CONVERGED
    assert solution.steps <= 10
    peer = scipy.optimize.root(jax.jit(lambda x: coupled(parameters, x)), np.ones(3), tol=1e-12)
    np.testing.assert_allclose(solution.value, peer.x, atol=1e-9)
    check_grads(
        lambda p: solve(p).value,
        (parameters,),
        order=1,
        modes=["rev"],
        atol=1e-7,
        eps=1e-4,
        rtol=1e-6,
    )


def test_line_search_saves_what_full_steps_lose():
    problem = uj.Residuals(lambda _, x: jnp.arctan(x))
    stop = uj.Stop(max_steps=30, tol=1e-12)
    solution = uj.solve(NewtonRoot(), problem, jnp.array([20.0]), stop=stop)
    assert solution.status == uj.Status.CONVERGED
    np.testing.assert_allclose(solution.value, 0.0, atol=1e-12)
