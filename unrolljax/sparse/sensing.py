"""Linear measurements of sparse codes: the operator, its analytic weight, one problem."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from unrolljax.sparse.analytic import analytic_weight
from unrolljax.sparse.partition import Entries, Partition


class SensingOperator(eqx.Module):
    """What networks ask of the operator by which codes are measured."""

    @property
    def unknowns(self) -> int:
        """Entries of a code."""
        raise NotImplementedError(f"{type(self).__name__} must define unknowns.")

    @property
    def dtype(self) -> Any:
        """The precision of codes and measurements."""
        raise NotImplementedError(f"{type(self).__name__} must define dtype.")

    def measure(self, x: Float[Array, " n"]) -> Float[Array, " m"]:
        """`A x`."""
        raise NotImplementedError(f"{type(self).__name__} must define measure(x).")

    def correlate(
        self, residual: Float[Array, " m"], blend: Array | None = None
    ) -> Float[Array, " n"]:
        """`W^T r` with the weight W; with a blend b `((1 - b) W + b A)^T r`."""
        raise NotImplementedError(f"{type(self).__name__} must define correlate(residual, blend).")

    def transpose(self, residual: Float[Array, " m"]) -> Float[Array, " n"]:
        """`A^T r`."""
        raise NotImplementedError(f"{type(self).__name__} must define transpose(residual).")


class Sensing(SensingOperator):
    """A matrix with unit columns, and the analytic weight by which networks correlate.

    `W` has the shape of `A` and diagonal blocks `W_g^T A_g = I`; see `analytic_weight`.
    """

    A: Float[Array, "m n"]
    W: Float[Array, "m n"]

    @classmethod
    def of(cls, A: ArrayLike, partition: Partition | None = None) -> "Sensing":
        """The matrix with its analytic weight for a partition (single entries by default).

        The weight is computed in float64 and given in the precision of A. Raises a ValueError
        unless A is a finite matrix with unit columns and full row rank.
        """
        dtype = jnp.result_type(A)
        W = analytic_weight(np.asarray(A, np.float64), partition or Entries())
        return cls(jnp.asarray(A), jnp.asarray(W, dtype))

    @property
    def unknowns(self) -> int:
        """Entries of a code."""
        return self.A.shape[1]

    @property
    def dtype(self) -> Any:
        """The precision of codes and measurements."""
        return self.A.dtype

    def measure(self, x: Float[Array, " n"]) -> Float[Array, " m"]:
        """`A x`."""
        return self.A @ x

    def correlate(
        self, residual: Float[Array, " m"], blend: Array | None = None
    ) -> Float[Array, " n"]:
        """`W^T r`; with a blend b `((1 - b) W + b A)^T r`."""
        W = self.W if blend is None else self.W + blend * (self.A - self.W)
        return W.T @ residual

    def transpose(self, residual: Float[Array, " m"]) -> Float[Array, " n"]:
        """`A^T r`."""
        return self.A.T @ residual


class Recovery(eqx.Module):
    """The problem that a network solves: find the sparse x of which `y` was measured."""

    sensing: SensingOperator
    y: Float[Array, " m"]

    def residual(self, x: Float[Array, " n"]) -> Float[Array, " m"]:
        """`A x - y`."""
        return self.sensing.measure(x) - self.y
