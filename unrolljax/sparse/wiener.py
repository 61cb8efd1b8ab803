"""Linear estimates of codes whose covariance is known: the best a single matrix can do."""

import numpy as np


def wiener_weight(A: np.ndarray, covariance: np.ndarray, noise: float) -> np.ndarray:
    """The W, of the shape of A, whose `W^T y` has the least mean square error (Wiener 1949).

    Of `y = A x + e`, x with zero mean and the `covariance` C (n, n), e white of standard deviation
    `noise`: `W = (A C A^T + noise^2 I)^-1 A C`. In place of the analytic weight of a `Sensing` it
    tells a network which codes to expect. Raises a ValueError unless the shapes agree, all is
    finite and the matrix to be inverted is positive definite.
    """
    if A.ndim != 2 or covariance.shape != 2 * A.shape[1:]:
        raise ValueError(
            f"covariance must have shape (n, n) for A of shape (m, n); got {covariance.shape} and "
            f"{A.shape}."
        )
    reached = A @ covariance
    spread = reached @ A.T + noise**2 * np.eye(len(A))
    if not np.all(np.isfinite(spread)) or np.linalg.eigvalsh(spread)[0] <= 0:
        raise ValueError(
            "A covariance A^T + noise^2 I must be finite and positive definite: give a larger "
            "noise, or the covariance of more samples."
        )
    return np.linalg.solve(spread, reached)
