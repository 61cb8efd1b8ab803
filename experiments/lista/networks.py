"""Where the training of each network starts."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array

from unrolljax.sparse import Sensing, training
from unrolljax.sparse.networks import (
    GLISTA,
    LISTA,
    SLISTA,
    CoupledLISTA,
    HybridLISTA,
    Network,
    Selection,
)

THRESHOLD = 0.1
SELECTION = Selection(0.012, 0.13)


def start(name: str, task: training.Task, sensing: Sensing, depth: int, key: Array) -> Network:
    """The network before its first step; `hyper`, `alista` and `cpss` by what a search found."""
    dtype = sensing.dtype
    step = float(1 / jnp.linalg.norm(sensing.A, 2) ** 2)
    makers: dict[str, Callable[[], Network]] = {
        "hybrid": lambda: HybridLISTA.start(depth, dtype=dtype),
        "blended": lambda: HybridLISTA.start(depth, blended=True, dtype=dtype),
        "hyper": lambda: training.tuned_hyperlista(task, key, depth)[0],
        "alista": lambda: training.searched_alista(task, key, depth, SELECTION),
        "cpss": lambda: CoupledLISTA.from_alista(
            training.searched_alista(task, key, depth, SELECTION), sensing
        ),
        "glista": lambda: GLISTA.start(sensing, depth, THRESHOLD, SELECTION),
        "slista": lambda: SLISTA.start(depth, step, THRESHOLD, dtype=dtype),
        "lista": lambda: LISTA.start(sensing, depth, step, THRESHOLD),
    }
    return makers[name]()
