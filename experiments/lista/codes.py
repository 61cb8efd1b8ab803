"""Sparse codes and what is measured of them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


class Sensing(NamedTuple):
    """The matrix, with unit columns, and the analytic weight, both of shape (rows, columns)."""

    A: Float[Array, "m n"]
    W: Float[Array, "m n"]


class Codes(NamedTuple):
    """Sparse codes and what is measured of them, one row a problem."""

    x: Float[Array, "problems n"]
    y: Float[Array, "problems m"]


def sense(rows: int, columns: int, seed: int) -> Sensing:
    """A Gaussian matrix, and `S^-1 a_i / (a_i^T S^-1 a_i)` with `S = A A^T` for its weight."""
    A = np.random.default_rng(seed).standard_normal((rows, columns))
    A /= np.linalg.norm(A, axis=0)
    B = np.linalg.solve(A @ A.T, A)
    return Sensing(jnp.asarray(A), jnp.asarray(B / np.sum(A * B, axis=0)))


def draw_codes(sensing: Sensing, key: Array, problems: int, sparsity: float) -> Codes:
    """Bernoulli-Gaussian codes, measured without noise."""
    where, what = jax.random.split(key)
    shape = (problems, sensing.A.shape[1])
    x = jnp.where(jax.random.bernoulli(where, sparsity, shape), jax.random.normal(what, shape), 0)
    return Codes(x, x @ sensing.A.T)


def decibel(x: Array, truth: Array) -> Float[Array, ""]:
    """Normalised mean square error of all codes together, in dB."""
    return 10 * jnp.log10(jnp.sum((x - truth) ** 2) / jnp.sum(truth**2))
