"""What a trained network is worth: errors by layer, and away from what it was trained for."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from unrolljax.sparse import training
from unrolljax.sparse.networks import Network, after_each_layer
from unrolljax.sparse.sensing import Sensing

PROBABILITIES = (0.05, 0.08, 0.1, 0.12, 0.15, 0.2)
RATIOS = (10.0, 20.0, 30.0, 40.0, np.inf)


class Shift(NamedTuple):
    """Total NMSE in dB by signal to noise ratio (rows) and probability (columns)."""

    snr: tuple[float, ...]
    probability: tuple[float, ...]
    error: np.ndarray


def errors_by_layer(
    network: Network, sensing: Sensing, codes: training.Codes, depth: int
) -> dict[str, list[float]]:
    """Total NMSE in dB after each layer, and after as many iterations of ISTA and FISTA."""
    found = {"learned": after_each_layer(network, sensing, codes.y, depth)}
    for name, accelerated in (("ISTA", False), ("FISTA", True)):
        weight = training.best_weight(sensing, codes, depth, accelerated)
        found[name] = training.lasso_codes_by_step(sensing, codes.y, weight, depth, accelerated)
    errors = jax.vmap(training.total_nmse, (0, None))
    return {name: errors(x, codes.x).tolist() for name, x in found.items()}


def sweep(network: Network, sensing: Sensing, key: Array, problems: int) -> Shift:
    """Fresh codes of other sparsities and noises."""
    error = [
        [
            float(training.error_on(network, sensing, training.Ensemble(p, ratio), key, problems))
            for p in jnp.asarray(PROBABILITIES)
        ]
        for ratio in jnp.asarray(RATIOS)
    ]
    return Shift(RATIOS, PROBABILITIES, np.asarray(error))
