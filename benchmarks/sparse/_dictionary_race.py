"""The gradient of one batch: implicit against unrolled, with codes of the same accuracy."""

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

import unrolljax as uj
from unrolljax.sparse import dictionary as dl
from unrolljax.sparse.dictionary.coder import ON_THE_SUPPORT

L1, L2, RUNS = 0.1, 0.01, 9


class Race(NamedTuple):
    """Relative difference of the two gradients, and CPU seconds of each."""

    difference: float
    implicit: float
    unrolled: float
    steps: int


def race(X: np.ndarray, y: np.ndarray, tol: float) -> Race:
    """Both gradients of the loss of 128 samples in a dictionary of 100 of the others.

    The unrolled solve is given as many steps as the slowest sample takes, no more.
    """
    x, targets = jnp.asarray(X[:128]), jnp.eye(10)[y[:128]].astype(X.dtype)
    D = jnp.asarray(X[200:300].T)
    random = np.random.default_rng(0)
    head = dl.Head(jnp.asarray(random.normal(size=(100, 10)), D.dtype), jnp.zeros(10, D.dtype))
    stop = uj.Stop(5000, tol)
    solution = jax.jit(lambda D: dl.Coder(L1, L2, uj.Detach(), stop)(D, x))(D).raise_if_failed()
    steps = int(jnp.max(solution.steps))

    def slope(gradient: uj.GradientMode, stop: uj.Stop) -> Callable[[Array], Array]:
        coder = dl.Coder(L1, L2, gradient, stop)

        def value(D: Array) -> Array:
            return dl.task_loss(dl.Model(D, head), coder, dl.cross_entropy, x, targets, 0.0)[0]

        return jax.jit(jax.grad(value))

    implicit = slope(ON_THE_SUPPORT, stop)
    unrolled = slope(uj.Unroll(), uj.Stop(steps, tol))
    gap = float(jnp.linalg.norm(implicit(D) - unrolled(D)) / jnp.linalg.norm(implicit(D)))
    seconds = [(_seconds(implicit, D), _seconds(unrolled, D)) for _ in range(RUNS)]
    first, second = (statistics.median(column) for column in zip(*seconds, strict=True))
    return Race(gap, first, second, steps)


def _seconds(function: Callable[[Array], Array], D: Array) -> float:
    start = time.process_time()
    jax.block_until_ready(function(D))
    return time.process_time() - start
