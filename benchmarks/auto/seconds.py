"""Run time of a whole gradient: `Auto` and the best fixed choice in hindsight, in turn."""

import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

import unrolljax as uj
from benchmarks.auto.contractions import Contraction
from benchmarks.auto.measure import MAX_DEPTH, SOLVER, STOP, Row, arrays

REPETITIONS = 15


def seconds(case: Contraction, row: Row) -> tuple[float, float]:
    """Median seconds of Auto and of the choice that `row` names best."""
    problem = arrays(case)
    w = jnp.asarray(np.random.default_rng(case.seed).normal(size=len(case.shift)))

    def timed(mode):
        def loss(problem):
            x0 = jnp.zeros_like(w)
            return w @ uj.solve(SOLVER, problem, x0, gradient=mode, stop=STOP).value

        return jax.jit(jax.grad(loss))

    functions = [timed(uj.Auto(case.tol)), timed(fixed_mode(row.best_name))]
    times: list[list[float]] = [[], []]
    for function in functions:
        jax.block_until_ready(function(problem))
    for _ in range(REPETITIONS):
        for function, found in zip(functions, times, strict=True):
            begun = time.perf_counter()
            jax.block_until_ready(function(problem))
            found.append(time.perf_counter() - begun)
    return statistics.median(times[0]), statistics.median(times[1])


def fixed_mode(name: str) -> uj.GradientMode:
    """The gradient mode that the name of a fixed choice stands for."""
    method, _, number = name.partition(" ")
    if method == "series":
        return uj.Neumann(min(int(number), MAX_DEPTH))
    if method == "lu":
        return uj.Implicit(linear_solver="dense")
    return uj.Implicit(linear_solver=method, tol=float(number) if number else 1e-6)
