"""One hypergradient at a given lasso solution: on the support, masked, and at full width."""

import functools
import statistics
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import unrolljax as uj
from benchmarks.core.timing import run_in_turn
from benchmarks.parts import Row
from unrolljax.sparse import Lasso
from unrolljax.sparse.model_selection import SupportAdjoint, WorkingSet
from unrolljax.sparse.model_selection.adjoint import pull_back

PART = "hyperparameters"
CAPACITY = 256


def race(problem: Lasso, validation: Lasso, runs: int) -> list[Row]:
    """Seconds and errors of the derivative in the weight of a hold-out loss."""
    x = _solution(problem)
    cotangent = jax.grad(lambda v: validation.smooth(v) / validation.y.size)(x)
    exact = _by_hand(problem, x, cotangent)
    times, errors = {}, {}
    for name, function in _contestants(problem).items():
        try:
            compiled = jax.jit(function()).lower(problem, x, cotangent).compile()
        except ImportError as error:
            times[name] = None
            errors[name] = str(error)
            continue
        errors[name] = abs(float(compiled(problem, x, cotangent)) / exact - 1)
        few = runs if name in (OURS, GENERIC) else min(runs, 3)
        seconds = run_in_turn({name: compiled}, (problem, x, cotangent), few)[name]
        times[name] = statistics.median(seconds)
    return [Row(PART, "support of the solution", f"{int(jnp.sum(x != 0))}")] + [
        _row(name, times, errors) for name in times
    ]


OURS = "adjoint: gathered, Cholesky (SupportAdjoint)"
GENERIC = "adjoint: gathered, CG (Implicit(capacity))"
FULL = "adjoint: full width, normal CG (jaxopt)"


def _row(name: str, times: dict, errors: dict) -> Row:
    if times[name] is None:
        return Row(PART, name, f"skipped: {errors[name]}")
    text = f"{1e3 * times[name]:.2f} ms, error {errors[name]:.0e}"
    if name != OURS or times.get(FULL) is None:
        return Row(PART, name, text)
    ratio = times[FULL] / times[OURS]
    passed = ratio >= 100 and errors[name] <= 1e-8
    return Row(PART, name, f"{text}, {ratio:.0f}x", ">= 100x, 1e-8", passed)


def _contestants(problem: Lasso) -> dict[str, Callable[[], Callable]]:
    step = 1 / float(np.linalg.norm(np.asarray(problem.A), 2)) ** 2
    return {
        OURS: lambda: lambda p, x, c: pull_back(p, x, c, CAPACITY)[0].weight,
        GENERIC: lambda: functools.partial(_generic, capacity=CAPACITY),
        "adjoint: masked, CG (Implicit())": lambda: functools.partial(_generic, capacity=None),
        FULL: lambda: _full_width(step),
    }


def _generic(problem: Lasso, x: Any, cotangent: Any, capacity: int | None) -> Any:
    mode = uj.Implicit("cg", 1e-10, capacity=capacity)
    return mode.pull_back(WorkingSet(CAPACITY), problem, x, cotangent)[0][1].weight


def _full_width(step: float) -> Callable:
    """The adjoint of the fixed point of proximal gradient, in all the unknowns."""
    from jaxopt import implicit_diff, linear_solve

    def condition(x, weight, problem):
        own = Lasso(problem.A, problem.y, weight)
        return own.prox(x - step * jax.grad(own.smooth)(x), step) - x

    solve = functools.partial(linear_solve.solve_normal_cg, tol=1e-12, maxiter=10000)

    def gradient(problem, x, cotangent):
        own = functools.partial(condition, problem=problem)
        return implicit_diff.root_vjp(own, x, (problem.weight,), cotangent, solve=solve)[0]

    return gradient


def _solution(problem: Lasso) -> Any:
    zero, stop = jnp.zeros(problem.A.shape[1]), uj.Stop(50, 1e-10)
    mode = SupportAdjoint(2 * CAPACITY)
    return (
        uj.solve(WorkingSet(2 * CAPACITY), problem, zero, gradient=mode, stop=stop)
        .raise_if_failed()
        .value
    )


def _by_hand(problem: Lasso, x: Any, cotangent: Any) -> float:
    """`-c_S^T (A_S^T A_S)^-1 sign(x_S)` by NumPy."""
    x, cotangent = np.asarray(x), np.asarray(cotangent)
    used = np.flatnonzero(x)
    A = np.asarray(problem.A)[:, used]
    return float(-cotangent[used] @ np.linalg.solve(A.T @ A, np.sign(x[used])))
