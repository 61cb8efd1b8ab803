"""Tables of samples as problems: centred, padded to shapes that repeat, with an intercept."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from unrolljax.sparse.problems.lasso import ElasticNet
from unrolljax.sparse.problems.logistic import SparseLogistic

TINY = 1e-30
"""A penalty where features or targets are all zero."""

GRAIN = 64
"""Smallest unit to which samples and features are padded."""


class Table(NamedTuple):
    """A problem made of a table, and how to read its solution.

    - `problem`: its A has a column of ones (weight zero) behind the features, zero columns behind
      that, and rows of weight zero behind the samples. Weights are the number of samples, as a
      penalty per sample asks.
    - `shift`, `offset`: what was subtracted from the features and from the targets.
    """

    problem: ElasticNet
    shift: NDArray
    offset: float

    def read(self, x: NDArray) -> tuple[NDArray, float]:
        """Coefficients and intercept, in the units of the table."""
        coefficients = np.asarray(x[: self.shift.size], np.float64)
        intercept = float(x[self.shift.size]) + self.offset - float(self.shift @ coefficients)
        return coefficients, intercept

    def largest(self) -> float:
        """The penalty per sample from which on the coefficients are zero."""
        A, y = np.asarray(self.problem.A), np.asarray(self.problem.y)
        weight = np.asarray(self.problem.sample_weight)
        features, samples = self.shift.size, weight.sum()
        slope = self.problem.slope(jnp.full(y.shape, self._constant()))
        slope = np.asarray(slope)
        rounding = 1e-12 * np.max(np.abs(slope) @ np.abs(A[:, :features]), initial=0) / samples
        largest = np.max(np.abs(slope @ A[:, :features]), initial=0) / samples
        # Constant targets have none: anything above rounding errors will do.
        return float(max(largest, rounding, TINY))

    def _constant(self) -> float:
        """What the intercept alone predicts."""
        if not isinstance(self.problem, SparseLogistic):
            return 0.0
        weight, y = np.asarray(self.problem.sample_weight), np.asarray(self.problem.y)
        share = float(weight @ (y > 0) / weight.sum())
        return float(np.log(share / (1 - share)))


def tabulate(
    X: NDArray, y: NDArray, kind: type[ElasticNet], fit_intercept: bool, ridge: bool
) -> Table:
    """The problem of a table; `y` holds numbers, or the classes -1 and 1."""
    samples, features = X.shape
    centre = fit_intercept and kind is not SparseLogistic
    shift = X.mean(axis=0) if fit_intercept else np.zeros(features)
    offset = float(y.mean()) if centre else 0.0
    A = np.zeros((padded(samples), padded(features + 1)))
    A[:samples, :features] = X - shift
    A[:samples, features] = float(fit_intercept)
    targets = np.ones(len(A))
    targets[:samples] = y - offset
    weight = np.full(A.shape[1], float(samples))
    if fit_intercept:
        weight[features] = 0.0
    present = (np.arange(len(A)) < samples).astype(float)
    arrays = (jnp.asarray(v) for v in (A, targets, weight, np.asarray(float(samples * ridge))))
    return Table(kind(*arrays, sample_weight=jnp.asarray(present)), shift, offset)


def padded(size: int) -> int:
    """The next shape: multiples of an eighth to a quarter of the size, at least of `GRAIN`."""
    grain = max(GRAIN, 2 ** (max(size, 1).bit_length() - 3))
    return -(-size // grain) * grain
