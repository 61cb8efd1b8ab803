"""`least_squares` on NIST's certified problems, all of them as one compiled program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from benchmarks.least_squares import nist
from unrolljax import bilevel

MODELS = list(dict.fromkeys(problem.model for problem in nist.PROBLEMS))
LARGEST, MOST = 9, 250


def padded(b, index, x, y, rows):
    """Every NIST problem as one program: parameters and rows that it lacks are left out."""
    branches = [
        (lambda b, x, model=model: model(b, x if model is nist.nelson else x[0]))
        for model in MODELS
    ]
    residuals = y - jax.lax.switch(index, branches, b, x)
    return jnp.where(jnp.arange(MOST) < rows, residuals, 0)


def padded_problem(problem):
    rows = len(problem.y)
    x = np.broadcast_to(np.atleast_2d(problem.x), (2, rows))
    x = np.concatenate([x, np.repeat(x[:, :1], MOST - rows, axis=1)], axis=1)
    y = np.concatenate([problem.y, np.zeros(MOST - rows)])
    index = jnp.asarray(MODELS.index(problem.model))
    return index, jnp.asarray(x), jnp.asarray(y), jnp.asarray(rows)


padded_residuals = jax.jit(padded)
padded_jacobian = jax.jit(jax.jacfwd(padded))


@pytest.mark.parametrize("problem", nist.PROBLEMS, ids=lambda problem: problem.name)
def test_nist_certified_values(problem):
    args, size = padded_problem(problem), problem.certified.size
    exact = problem.name == "Lanczos1"  # its residuals are rounding errors
    if not exact:
        residuals = problem.y - problem.model(problem.certified, problem.x)
        np.testing.assert_allclose(residuals @ residuals, problem.sum_of_squares, rtol=1e-10)
    for start in problem.starts:
        b = jnp.ones(LARGEST).at[:size].set(start)
        fit = bilevel.least_squares(padded, b, args=args).raise_if_failed()
        np.testing.assert_allclose(fit.theta[:size], problem.certified, rtol=1e-7)
        np.testing.assert_array_equal(fit.theta[size:], 1.0)
        if not exact:
            np.testing.assert_allclose(2 * fit.cost, problem.sum_of_squares, rtol=1e-9)
            excess = (MOST - size) / (len(problem.y) - size)
            deviations = fit.deviation[:size] * np.sqrt(excess)
            np.testing.assert_allclose(deviations, problem.deviations, rtol=1e-6)


@pytest.mark.parametrize("problem", nist.PROBLEMS, ids=lambda problem: problem.name)
def test_nist_optimum_is_scipys(problem):
    args, size = padded_problem(problem), problem.certified.size
    rows = len(problem.y)

    def full(b):
        return np.concatenate([b, np.ones(LARGEST - size)])

    other = scipy.optimize.least_squares(
        lambda b: np.asarray(padded_residuals(full(b), *args))[:rows],
        problem.starts[1],
        jac=lambda b: np.asarray(padded_jacobian(full(b), *args))[:rows, :size],
        x_scale="jac",
        **dict.fromkeys(["xtol", "ftol", "gtol"], 1e-15),
    )
    b = jnp.asarray(full(problem.starts[1]))
    ours = bilevel.least_squares(padded, b, args=args).raise_if_failed()
    np.testing.assert_allclose(ours.theta[:size], other.x, rtol=1e-6)
