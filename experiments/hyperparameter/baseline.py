"""What a grid search of scikit-learn finds on the same folds, with two numbers to choose."""

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.hyperparameter.data import Table

SHARES = [0.1, 0.5, 0.9, 1.0]
"""Of l1 in the penalty."""


class Search(NamedTuple):
    """The best model of a grid search.

    - `intercept`, `weights`: fitted to all samples seen.
    - `validation`: its mean validation loss over the folds; `fits`: how many the search took.
    """

    intercept: float
    weights: NDArray
    validation: float
    fits: int


def grid_search(table: Table, classify: bool, size: int) -> Search:
    """Try `size` values of the penalty for each of `SHARES`."""
    from sklearn.model_selection import PredefinedSplit, cross_val_score

    seen = table.fold >= 0
    A, y, split = table.A[seen], table.y[seen], PredefinedSplit(table.fold[seen])
    with warnings.catch_warnings():
        # Of solvers that were given too few steps, and of arguments that are to change.
        warnings.simplefilter("ignore")
        model, scoring = (_classify if classify else _regress)(A, y, split, size)
        losses = -cross_val_score(model, A, y, cv=split, scoring=scoring)
        model.fit(A, y)
    loss = losses.mean() if classify else losses.mean() / 2
    fits = size * len(SHARES) * split.get_n_splits()
    return Search(float(np.ravel(model.intercept_)[0]), np.ravel(model.coef_), float(loss), fits)


def _regress(A: NDArray, y: NDArray, split: Any, size: int) -> tuple[Any, str]:
    from sklearn.linear_model import ElasticNet, ElasticNetCV

    alphas = np.abs(A.T @ y).max() / len(y) * np.logspace(-4, 0, size)
    ratios: Any = SHARES
    found = ElasticNetCV(l1_ratio=ratios, alphas=alphas, cv=split, max_iter=5000).fit(A, y)
    return ElasticNet(alpha=found.alpha_, l1_ratio=found.l1_ratio_), "neg_mean_squared_error"


def _classify(A: NDArray, y: NDArray, split: Any, size: int) -> tuple[Any, str]:
    from sklearn.linear_model import LogisticRegression, LogisticRegressionCV

    rest: Any = {"penalty": "elasticnet", "solver": "saga", "max_iter": 500, "tol": 1e-3}
    rest |= {"random_state": 0}
    ratios: Any = SHARES
    scoring = "neg_log_loss"
    found = LogisticRegressionCV(Cs=size, l1_ratios=ratios, cv=split, scoring=scoring, **rest)
    found.fit(A, y)
    best, ratio = np.ravel(found.C_)[0], np.ravel(found.l1_ratio_)[0]  # pyright: ignore
    return LogisticRegression(C=best, l1_ratio=ratio, **rest), scoring
