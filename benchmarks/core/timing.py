"""The one place that looks at a clock."""

import gc
import math
import statistics
import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple, TypeVar

import jax

SHORTEST = 0.01
"""Seconds that one timed measurement lasts at least; short functions are called repeatedly."""


Name = TypeVar("Name", bound=Hashable)


class Cost(NamedTuple):
    """Measured cost of one compiled function, seconds per repetition and bytes; what it returns."""

    run: list[float]
    compile: list[float]
    temporary: int
    result: Any


def measure(
    functions: Mapping[Name, Callable], arguments: tuple, runs: int, compilations: int
) -> dict[Name, Cost]:
    """Compile every function cold and run it, all of them in turn in each repetition."""
    _compile_cold(next(iter(functions.values())), arguments)  # What the first compilation loads.
    compile_times = {name: [] for name in functions}
    compiled = {}
    for _ in range(compilations):
        for name, function in functions.items():
            seconds, compiled[name] = _compile_cold(function, arguments)
            compile_times[name].append(seconds)
    run_times = run_in_turn(compiled, arguments, runs)
    return {
        name: Cost(run_times[name], compile_times[name], _temporary(call), call(*arguments))
        for name, call in compiled.items()
    }


def run_in_turn(
    functions: Mapping[Name, Callable], arguments: tuple, runs: int
) -> dict[Name, list[float]]:
    """Seconds per call in each of `runs` repetitions; every other one goes in reverse order."""
    calls = {name: _calls_to_last(function, arguments) for name, function in functions.items()}
    times = {name: [] for name in functions}
    for repetition in range(runs):
        names = list(functions)
        for name in names if repetition % 2 == 0 else reversed(names):
            times[name].append(_seconds(functions[name], arguments, calls[name]))
    return times


def ratio(times: list[float], base: list[float]) -> float:
    """Median of the ratios within each repetition: what all the rows share cancels."""
    return statistics.median(a / b for a, b in zip(times, base, strict=True))


def _compile_cold(function: Callable, arguments: tuple) -> tuple[float, Any]:
    """Seconds to trace, lower and compile with nothing in any cache, and the executable."""
    jax.clear_caches()
    gc.collect()
    start = time.perf_counter()
    compiled = jax.jit(function).lower(*arguments).compile()
    return time.perf_counter() - start, compiled


def _calls_to_last(function: Callable, arguments: tuple) -> int:
    jax.block_until_ready(function(*arguments))
    return max(1, math.ceil(SHORTEST / _seconds(function, arguments, 1)))


def _seconds(function: Callable, arguments: tuple, calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        jax.block_until_ready(function(*arguments))
    return (time.perf_counter() - start) / calls


def _temporary(compiled: Any) -> int:
    return compiled.memory_analysis().temp_size_in_bytes
