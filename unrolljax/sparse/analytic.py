"""Analytic weights: the correlation matrix of a learned network in closed form.

ALISTA (Liu et al. 2019, eq. 16) asks for the W that minimises `|W^T A|_F` with `w_i^T a_i = 1`.
With `S = A A^T` the minimiser is `w_i = S^-1 a_i / (a_i^T S^-1 a_i)`; for groups, with
`W_g^T A_g = I`, it is `W_g = S^-1 A_g (A_g^T S^-1 A_g)^-1`.
"""

import numpy as np

from unrolljax.sparse.partition import Entries, Partition


def analytic_weight(A: np.ndarray, partition: Partition | None = None) -> np.ndarray:
    """The minimiser of `|W^T A|_F` with `W_g^T A_g = I` for every group, of the shape of A.

    Raises a ValueError unless A (measurements, unknowns) is finite, has unit columns, and S is
    well conditioned.
    """
    check_columns(A)
    members = (partition or Entries()).members(A.shape[1])
    covered = np.sort(np.concatenate(members))
    if not np.array_equal(covered, np.arange(A.shape[1])):
        raise ValueError(f"The groups do not cover the {A.shape[1]} columns of A once each.")
    gram = A @ A.T
    if np.linalg.matrix_rank(gram, hermitian=True) < len(gram):
        raise ValueError(
            f"A of shape {A.shape} has no full row rank, so there is no analytic weight: remove "
            "dependent measurements."
        )
    whitened = np.linalg.solve(gram, A)
    if isinstance(partition, Entries) or partition is None:
        return whitened / np.sum(A * whitened, axis=0)
    W = np.empty_like(whitened)
    for group in members:
        W[:, group] = np.linalg.solve(A[:, group].T @ whitened[:, group], whitened[:, group].T).T
    return W


def check_columns(A: np.ndarray) -> None:
    """Raise unless A is a finite matrix whose columns have norm 1 to a relative 1e-3."""
    if A.ndim != 2 or not np.all(np.isfinite(A)):
        raise ValueError(f"A must be a finite matrix; got shape {A.shape}.")
    norms = np.linalg.norm(A, axis=0)
    if np.any(np.abs(norms - 1) > 1e-3):
        raise ValueError(
            f"The columns of A must have norm 1 (norms {norms.min():.3g} to {norms.max():.3g}): "
            "divide A by np.linalg.norm(A, axis=0), and the codes found by the same norms."
        )
