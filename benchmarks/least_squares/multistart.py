"""One problem from many starts: ours in one program, scipy's and jaxopt's as their users would."""

import time
import warnings
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import least_squares

from unrolljax import bilevel

STARTS = 64
LOWER, UPPER = jnp.asarray([0.1, 0.05, 0.1, 0.5]), jnp.asarray([5.0, 2.0, 5.0, 8.0])
TRUTH = (2.0, 0.3, 1.0, 3.0)


class Timing(NamedTuple):
    """Median seconds for all starts once compiled, and the share that reached the best cost."""

    who: str
    seconds: float
    best_cost: float
    reached: float


def residuals(theta, x, y):
    """Two exponentials, 200 residuals."""
    model = theta[0] * jnp.exp(-theta[1] * x) + theta[2] * jnp.exp(-theta[3] * x)
    return y - model


def problem() -> tuple[jax.Array, jax.Array, jax.Array]:
    """x, y and the starts, uniform in a box around the truth."""
    x = jnp.linspace(0.0, 8.0, 200)
    y = -residuals(jnp.asarray(TRUTH), x, jnp.zeros_like(x))
    y = y + 0.01 * jax.random.normal(jax.random.key(0), x.shape)
    unit = jax.random.uniform(jax.random.key(1), (STARTS, 4))
    return x, y, LOWER[None] + unit * (UPPER - LOWER)[None]


def timings(repetitions: int) -> list[Timing]:
    """Every library on the same starts, in turn."""
    x, y, starts = problem()
    costs: dict[str, np.ndarray] = {}
    seconds: dict[str, list[float]] = {}
    libraries = {"ours": _ours, "scipy lm": _scipy, "jaxopt": _jaxopt}
    calls = {name: make(x, y, starts) for name, make in libraries.items()}
    for repetition in range(repetitions + 1):
        for name, call in calls.items():
            begun = time.perf_counter()
            costs[name] = call()
            if repetition:
                seconds.setdefault(name, []).append(time.perf_counter() - begun)
    best = min(np.nanmin(cost) for cost in costs.values())
    return [
        Timing(
            name,
            float(np.median(seconds[name])),
            float(np.nanmin(cost)),
            float(np.mean(cost <= best * (1 + 1e-6))),
        )
        for name, cost in costs.items()
    ]


def _ours(x, y, starts) -> Callable[[], np.ndarray]:
    def run():
        fit = bilevel.least_squares(residuals, starts[0], args=(x, y), starts=starts[1:])
        return np.asarray(fit.starts.cost)  # pyright: ignore

    return run


def _scipy(x, y, starts) -> Callable[[], np.ndarray]:
    """A loop over scipy's MINPACK with our compiled residuals and Jacobian."""
    function, jacobian = jax.jit(residuals), jax.jit(jax.jacfwd(residuals))

    def one(start):
        found = least_squares(
            lambda b: np.asarray(function(b, x, y)),
            start,
            jac=lambda b: np.asarray(jacobian(b, x, y)),  # pyright: ignore
            method="lm",
            x_scale="jac",
            xtol=1e-10,
            ftol=1e-10,
            gtol=1e-10,
            max_nfev=200,
        )
        return found.cost

    return lambda: np.array([one(start) for start in np.asarray(starts)])


def _jaxopt(x, y, starts) -> Callable[[], np.ndarray]:
    """Its Levenberg-Marquardt, vmapped and compiled."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import jaxopt
    solver = jaxopt.LevenbergMarquardt(residuals, maxiter=200, tol=1e-10, xtol=1e-10, gtol=1e-10)

    @jax.jit
    def run(starts, x, y):
        found = jax.vmap(lambda start: solver.run(start, x, y).params)(starts)
        return jax.vmap(lambda b: jnp.sum(residuals(b, x, y) ** 2) / 2)(found)

    return lambda: np.asarray(run(starts, x, y))
