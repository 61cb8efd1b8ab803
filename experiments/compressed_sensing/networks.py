"""Where the training of each network starts."""

from collections.abc import Callable

import jax.numpy as jnp
from numpy.typing import NDArray

from unrolljax.sparse.networks import (
    ALISTA,
    SLISTA,
    CoupledLISTA,
    HybridLISTA,
    Network,
    Selection,
)
from unrolljax.sparse.networks.banded import BandLISTA
from unrolljax.sparse.sensing import Sensing

THRESHOLD = 0.02
SELECTION = Selection(0.012, 0.13)


def start(name: str, sensing: Sensing, bands: NDArray, depth: int) -> Network:
    """The network before its first step."""
    dtype = sensing.dtype
    step = 1 / jnp.linalg.norm(sensing.A, 2) ** 2
    makers: dict[str, Callable[[], Network]] = {
        "matrices": lambda: BandLISTA.start(sensing, depth, bands, matrices=True),
        "banded": lambda: BandLISTA.start(sensing, depth, bands),
        "hybrid": lambda: HybridLISTA.start(depth, dtype=dtype),
        "blended": lambda: HybridLISTA.start(depth, blended=True, dtype=dtype),
        "alista": lambda: ALISTA.start(depth, step, THRESHOLD, dtype=dtype),
        "slista": lambda: SLISTA.start(depth, step, THRESHOLD, dtype=dtype),
        "cp": lambda: CoupledLISTA.start(sensing, depth, step, THRESHOLD),
        "cpss": lambda: CoupledLISTA.start(sensing, depth, step, THRESHOLD, SELECTION),
    }
    return makers[name]()
