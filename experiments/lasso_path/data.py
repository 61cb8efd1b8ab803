"""Simulated tables, split in samples to train on, to validate on and to test on."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from unrolljax.sparse import ElasticNet, Lasso
from unrolljax.sparse.model_selection import HoldOut
from unrolljax.sparse.model_selection.designs import correlated


class Shape(NamedTuple):
    """Of a table: training samples, columns, columns that matter, correlation, signal to noise."""

    samples: int
    features: int
    nonzero: int
    correlation: float
    snr: float


class Problems(NamedTuple):
    """A batch of tables with the same coefficients.

    - `A`, `y`: (splits, 3, samples, features) and (splits, 3, samples): training, validation, test.
    - `truth`: (splits, features), the coefficients.
    """

    A: Float[Array, "splits 3 samples features"]
    y: Float[Array, "splits 3 samples"]
    truth: Float[Array, "splits features"]

    def first(self) -> "Problems":
        """The first table, without the leading axis."""
        return jax.tree.map(lambda v: v[0], self)

    def hold_out(self, kind: type[Lasso]) -> HoldOut:
        """The criterion of one table, its penalties all one."""
        ones = [jnp.ones((), self.y.dtype)] * (2 if kind is ElasticNet else 1)
        return HoldOut(*(kind(self.A[k], self.y[k], *ones) for k in (0, 1)))


def simulate(shape: Shape, splits: int, seed: int) -> Problems:
    """Tables that share coefficients and differ in samples."""
    n, p = shape.samples, shape.features
    design = correlated(3 * n * splits, *shape[1:], seed)
    arrays = (
        design.A.reshape(splits, 3, n, p),
        design.y.reshape(splits, 3, n),
        np.tile(design.truth, (splits, 1)),
    )
    return Problems(*map(jnp.asarray, arrays))
