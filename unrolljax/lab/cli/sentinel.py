"""The case that jax 0.10.2 gets silently wrong on the CPU (jax-ml/jax#39103)."""

import jax
import jax.numpy as jnp
import numpy as np

WRONG_RELEASES = ("0.10.2", "0.11.0", "0.11.1")
"""Releases of jax that fail the case: the first with wrong numbers, the others hang or crash."""

TOLERANCE = 1e-4


def batched_squares_error() -> float:
    """The largest relative error of `|H d|^2` over 35,560 rows `d` on the CPU, in float32.

    A sound release stays below `TOLERANCE`; with jax 0.10.2 more than half of the rows are wrong.
    """
    random = np.random.default_rng(0)
    matrix = random.normal(size=(8, 8)).astype(np.float32)
    rows = random.normal(size=(35_560, 8)).astype(np.float32)
    with jax.default_device(jax.devices("cpu")[0]):
        squares = jax.jit(jax.vmap(lambda d: jnp.sum((jnp.asarray(matrix) @ d) ** 2)))
        found = np.asarray(squares(jnp.asarray(rows)))
    expected = ((rows.astype(float) @ matrix.T.astype(float)) ** 2).sum(1)
    return float(np.max(np.abs(found - expected) / expected))
