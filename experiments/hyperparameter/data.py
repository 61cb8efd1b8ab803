"""Data sets of scikit-learn with polynomial features, and their folds."""

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Task = Literal["breast_cancer", "diabetes"]


class Table(NamedTuple):
    """Standardised features and targets.

    - `A`: (samples, features), polynomial; columns of mean 0 and variance 1 on the training part.
    - `y`: -1 or 1 to classify, standardised numbers to regress.
    - `powers`: (features, inputs), the power of each input in each feature.
    - `fold`: of each sample the fold that validates it, -1 for the test part.
    """

    A: NDArray
    y: NDArray
    powers: NDArray
    fold: NDArray


def load(task: Task, degree: int, folds: int, test_share: float, seed: int) -> Table:
    """A table of 569 tumours (two classes) or of 442 patients (one number)."""
    # The import takes seconds, which validating a configuration must not.
    from sklearn.datasets import load_breast_cancer, load_diabetes
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    loader = load_breast_cancer if task == "breast_cancer" else load_diabetes
    bunch: Any = loader()
    inputs, target = bunch.data, bunch.target
    random = np.random.default_rng(seed)
    order = random.permutation(len(target))
    fold = np.full(len(target), -1)
    seen = order[round(test_share * len(target)) :]
    fold[seen] = np.arange(len(seen)) % folds
    inputs = StandardScaler().fit(inputs[seen]).transform(inputs)
    polynomial = PolynomialFeatures(degree, include_bias=False)
    A = polynomial.fit_transform(inputs)
    A = StandardScaler().fit(A[seen]).transform(A)
    if task == "breast_cancer":
        y = 2.0 * target - 1
    else:
        y = (target - target[seen].mean()) / target[seen].std()
    return Table(np.asarray(A), y, np.asarray(polynomial.powers_), fold)


def curvature(table: Table, classify: bool) -> float:
    """Bound on the curvature of a fold's training loss, a column of ones included."""
    seen = table.fold >= 0
    folds = table.fold.max() + 1
    largest = np.linalg.norm(np.c_[table.A, np.ones(len(table.y))][seen], 2) ** 2
    return float(largest / (seen.sum() * (1 - 1 / folds) * (4 if classify else 1)))
