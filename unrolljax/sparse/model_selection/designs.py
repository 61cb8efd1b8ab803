"""Simulated sparse regressions: correlated columns, few of which matter."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Design(NamedTuple):
    """Samples of a sparse linear model.

    - `A`: (samples, features), standard normal; `y`: (samples,).
    - `truth`: (features,), the coefficients; `sigma`: standard deviation of the noise in y.
    """

    A: NDArray
    y: NDArray
    truth: NDArray
    sigma: float

    def part(self, start: int, stop: int) -> "Design":
        """Some of the samples."""
        return self._replace(A=self.A[start:stop], y=self.y[start:stop])


def correlated(
    samples: int, features: int, nonzero: int, correlation: float, snr: float, seed: int
) -> Design:
    """Columns j and k are correlated as `correlation ** |j - k|` (Massias et al. 2018, section 5).

    Coefficients are standard normal in `nonzero` random places; `snr` is the ratio of the standard
    deviations of `A truth` and of the noise.
    """
    random = np.random.default_rng(seed)
    A = random.standard_normal((samples, features))
    share = np.sqrt(1 - correlation**2)
    for j in range(1, features):
        A[:, j] = correlation * A[:, j - 1] + share * A[:, j]
    truth = np.zeros(features)
    truth[random.permutation(features)[:nonzero]] = random.standard_normal(nonzero)
    signal = A @ truth
    sigma = float(np.std(signal) / snr)
    return Design(A, signal + sigma * random.standard_normal(samples), truth, sigma)
