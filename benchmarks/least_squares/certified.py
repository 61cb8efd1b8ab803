"""NIST's certified problems: digits reached from both published starts, ours and scipy's."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import least_squares

from benchmarks.least_squares import nist
from unrolljax import bilevel
from unrolljax.core.status import Status

MOST_DIGITS = 11.0
"""As many as are certified."""


class Row(NamedTuple):
    """One problem from one start; digits are those of the worst parameter."""

    problem: str
    level: str
    start: int
    status: str
    steps: int
    digits: float
    deviation_digits: float
    scipy_digits: float
    scipy_evaluations: int
    agreement: float


def rows(problem: nist.Problem) -> list[Row]:
    """Both starts of a problem."""

    def residuals(b, x, y):
        return y - problem.model(b, x)

    data = (jnp.asarray(problem.x), jnp.asarray(problem.y))
    function = jax.jit(lambda b: residuals(b, *data))
    jacobian = jax.jit(jax.jacfwd(lambda b: residuals(b, *data)))
    found = []
    for number, start in enumerate(problem.starts, 1):
        fit = bilevel.least_squares(residuals, jnp.asarray(start), args=data)
        other = least_squares(
            lambda b: np.asarray(function(b)),
            start,
            jac=lambda b: np.asarray(jacobian(b)),  # pyright: ignore
            x_scale="jac",
            max_nfev=2000,
            xtol=1e-15,
            ftol=1e-15,
            gtol=1e-15,
        )
        found.append(
            Row(
                problem.name,
                problem.level,
                number,
                Status(int(fit.status)).name,
                int(fit.steps),
                digits(fit.theta, problem.certified),
                digits(fit.deviation, problem.deviations),
                digits(other.x, problem.certified),
                int(other.nfev),
                digits(fit.theta, other.x),
            )
        )
    return found


def digits(found, certified) -> float:
    """Equal decimal digits of the worst entry, at most those certified."""
    error = np.max(np.abs(np.asarray(found) / certified - 1))
    return float(np.clip(-np.log10(error + 1e-300), -MOST_DIGITS, MOST_DIGITS))
