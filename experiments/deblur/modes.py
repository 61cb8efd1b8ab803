"""The same hypergradient by several modes: agreement, time and memory."""

import dataclasses
import time
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np
from jax.flatten_util import ravel_pytree
from numpy.typing import NDArray

import unrolljax as uj
from experiments.deblur import data
from experiments.deblur.problem import Weights
from experiments.deblur.task import Batch, Task, make

hypergradient = eqx.filter_jit(
    lambda task, weights, batch, gradient: eqx.filter_value_and_grad(
        lambda w: task.loss(w, batch, gradient), has_aux=True
    )(weights)
)


class ModeCost(NamedTuple):
    """One hypergradient: its vector, seconds to run and to compile, temporary megabytes, status."""

    gradient: NDArray
    seconds: float
    compile_seconds: float
    megabytes: float
    status: str


def compare(config: Any, weights: Weights) -> dict[str, ModeCost]:
    """The hypergradient of one training crop by each mode, from a cold start."""
    truth = data.training(config.size)[:1]
    task, batch = make(config, truth, np.full(1, config.test_noise), config.seed)
    stop = uj.Stop(config.stop.max_steps, config.compare_tol)
    task = dataclasses.replace(task, stop=stop)
    return {name: cost(task, weights, batch, m.build()) for name, m in config.compare.items()}


def cost(task: Task, weights: Weights, batch: Batch, gradient: uj.GradientMode) -> ModeCost:
    """Compile one hypergradient, read its temporary memory, and run it."""
    begun = time.perf_counter()
    compiled: Any = hypergradient.lower(task, weights, batch, gradient).compile()  # pyright: ignore
    compile_seconds = time.perf_counter() - begun
    begun = time.perf_counter()
    (_, solution), slope = compiled(task, weights, batch, gradient)
    vector = np.asarray(ravel_pytree(slope)[0], float)
    seconds = time.perf_counter() - begun
    memory = compiled.compiled.memory_analysis().temp_size_in_bytes / 1e6
    status = uj.Status(int(solution.status)).name
    return ModeCost(vector, seconds, compile_seconds, memory, status)


def describe(modes: dict[str, ModeCost]) -> dict[str, dict[str, Any]]:
    """Cost of each mode, and its agreement with the first."""
    exact = next(iter(modes.values())).gradient
    described = {}
    for name, mode in modes.items():
        size = np.linalg.norm(mode.gradient) * np.linalg.norm(exact)
        described[name] = {
            "difference": float(np.linalg.norm(mode.gradient - exact) / np.linalg.norm(exact)),
            "cosine": float(mode.gradient @ exact / size),
            "seconds": mode.seconds,
            "compile seconds": mode.compile_seconds,
            "temporary MB": mode.megabytes,
            "status": mode.status,
        }
    return described
