"""Estimators for scikit-learn whose penalties are found by hypergradients of a cross-validation.

They compute in float64, whatever JAX is configured to. Losses are scikit-learn's: the mean over
samples of half the squared error, or of the logistic loss, plus penalties.
"""

from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, is_classifier
from sklearn.model_selection import check_cv
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, validate_data

from unrolljax.core.status import Status
from unrolljax.core.stop import Stop
from unrolljax.gradients.detach import Detach
from unrolljax.gradients.solve import solve
from unrolljax.sparse.model_selection.criteria import CrossValidation
from unrolljax.sparse.model_selection.descent import Descent
from unrolljax.sparse.model_selection.penalties import Penalties
from unrolljax.sparse.model_selection.search import Found, search
from unrolljax.sparse.model_selection.tables import Table, tabulate
from unrolljax.sparse.model_selection.threads import one_blas_thread
from unrolljax.sparse.model_selection.working_set import WorkingSet
from unrolljax.sparse.problems.lasso import ElasticNet
from unrolljax.sparse.problems.logistic import SparseLogistic


class _SparseCV(BaseEstimator):
    """What the estimators share: parameters, folds, search, final fit."""

    _kind = ElasticNet
    _l1_ratios: tuple[float, ...] = (1.0,)

    def __init__(
        self, *, eps=1e-3, n_alphas=10, cv=5, fit_intercept=True, capacity=256, max_iter=20
    ):
        self.eps = eps
        self.n_alphas = n_alphas
        self.cv = cv
        self.fit_intercept = fit_intercept
        self.capacity = capacity
        self.max_iter = max_iter

    def _fit(self, X: NDArray, y: NDArray) -> Penalties:
        """Search, fit to all samples, keep both."""
        if not 0 < self.eps < 1:
            raise ValueError(f"eps={self.eps} must be between 0 and 1.")
        fold = _folds(self, X, y)
        with jax.enable_x64(True), one_blas_thread():
            ridge = len(self._l1_ratios) > 1
            table = tabulate(X, y, self._kind, self.fit_intercept, ridge)
            rows = np.full(table.problem.y.size, -1)
            rows[: len(fold)] = fold
            criterion = CrossValidation(table.problem, jnp.asarray(rows), int(fold.max()) + 1)
            found = self._search(criterion, self._grid(table.largest()))
            x = _fit_to_all(table, found)
            penalties = jax.tree.map(lambda v: np.exp(np.asarray(v)), found.theta)
        self.coef_, self.intercept_ = table.read(x)
        self.criterion_, self.criterion_grid_ = float(found.value), np.asarray(found.grid)
        self.n_iter_ = int(found.evaluations)
        self.status_ = Status(int(found.status)).name
        return penalties

    def _grid(self, top: float) -> Penalties:
        """Rows of falling penalties, one for each l1 ratio."""
        alphas = np.log(top) + np.linspace(0, np.log(self.eps), self.n_alphas)
        ratios = np.asarray(self._l1_ratios)[:, None]
        weight = jnp.asarray(alphas + np.zeros_like(ratios))
        if len(self._l1_ratios) == 1:
            return Penalties(weight)
        return Penalties(weight, jnp.asarray(alphas + np.log((1 - ratios) / ratios)))

    def _search(self, criterion: CrossValidation, grid: Penalties) -> Found:
        descent = Descent(steps=self.max_iter)
        return search(criterion, grid, capacity=self.capacity, descent=descent)

    def _linear(self, X: Any) -> NDArray:
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        return X @ np.ravel(self.coef_) + self.intercept_


class _RegressorCV(RegressorMixin, _SparseCV):
    """A regression."""

    def _fit_table(self, X: Any, y: Any) -> Penalties:
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True, ensure_min_samples=2)
        return self._fit(X, np.asarray(y, np.float64))

    def predict(self, X):
        """The fitted linear function: (samples,)."""
        return self._linear(X)


class LassoCV(_RegressorCV):
    """The lasso whose penalty minimises a cross-validation.

    - `eps`: smallest penalty of the coarse grid over the largest; `n_alphas`: points of the grid.
    - `cv`: number of folds, or a splitter of scikit-learn whose test folds do not overlap.
    - `fit_intercept`: whether there is an intercept, which is not penalised.
    - `capacity`: columns that a working set holds at first; it grows where the support does.
    - `max_iter`: evaluations of the descent from the best point of the grid at most.

    After `fit`: `coef_`, `intercept_`, `alpha_` (of the loss `|y - X w|^2 / (2 samples) + alpha
    |w|_1`), `criterion_` (half the mean squared error left out), `criterion_grid_` (on the coarse
    grid, NaN where left out), `n_iter_` (evaluations), `status_`.
    """

    def fit(self, X, y):
        """Choose the penalty and fit; returns self."""
        self.alpha_ = float(self._fit_table(X, y).weight)
        return self


class ElasticNetCV(_RegressorCV):
    """The elastic net whose two penalties minimise a cross-validation.

    Parameters and attributes as in `LassoCV`; `alpha_` and `l1_ratio_` belong to the loss
    `|y - X w|^2 / (2 samples) + alpha (l1_ratio |w|_1 + (1 - l1_ratio) |w|^2 / 2)`. The coarse
    grid has a row for each of the ratios 0.95, 0.5 and 0.1.
    """

    _l1_ratios = (0.95, 0.5, 0.1)

    def fit(self, X, y):
        """Choose the penalties and fit; returns self."""
        found = self._fit_table(X, y)
        assert found.ridge is not None  # The grid has ridge weights.
        self.alpha_ = float(found.weight + found.ridge)
        self.l1_ratio_ = float(found.weight) / self.alpha_
        return self


class WeightedLassoCV(_RegressorCV):
    """The lasso with a penalty for each feature, all chosen by descent on a cross-validation.

    Starts from the penalty of `LassoCV`; parameters and attributes as there, with `weights_`,
    (features,), instead of `alpha_`.
    """

    def fit(self, X, y):
        """Choose the penalties and fit; returns self."""
        self.weights_ = self._fit_table(X, y).weight[: np.shape(self.coef_)[0]]
        return self

    def _search(self, criterion: CrossValidation, grid: Penalties) -> Found:
        common = super()._search(criterion, grid).theta.weight
        each = jnp.full((1, 1, criterion.problem.A.shape[1]), common)
        return super()._search(criterion, Penalties(each))


class SparseLogisticCV(ClassifierMixin, _SparseCV):
    """Sparse logistic regression of two classes, its penalty chosen by cross-validation.

    Parameters as in `LassoCV`; folds are stratified. After `fit`: `classes_`, `coef_`
    (1, features), `intercept_` (1,), `alpha_` (of the loss `mean log(1 + exp(-y X w)) + alpha
    |w|_1`), `criterion_` (mean logistic loss left out), `criterion_grid_`, `n_iter_`, `status_`.
    """

    _kind = SparseLogistic

    def __sklearn_tags__(self):
        """Two classes."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def fit(self, X, y):
        """Choose the penalty and fit; returns self."""
        X, y = cast(Any, validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2))
        check_classification_targets(y)
        kind = type_of_target(y, input_name="y", raise_unknown=True)
        if kind != "binary":
            raise ValueError(
                f"Only binary classification is supported. The type of the target is {kind}."
            )
        self.classes_, index = np.unique(y, return_inverse=True)
        if len(self.classes_) != 2:
            raise ValueError("y holds one class only; a classifier needs samples of two classes.")
        self.alpha_ = float(self._fit(X, 2.0 * index - 1).weight)
        self.coef_, self.intercept_ = self.coef_[None], np.asarray([self.intercept_])
        return self

    def decision_function(self, X):
        """The log odds of the second class: (samples,)."""
        return self._linear(X)

    def predict_proba(self, X):
        """Probabilities of the classes: (samples, 2)."""
        second = 0.5 * (1 + np.tanh(self.decision_function(X) / 2))
        return np.stack([1 - second, second], axis=1)

    def predict(self, X):
        """The more probable class: (samples,)."""
        second = self.decision_function(X) > 0
        return self.classes_[second.astype(int)]


def _folds(estimator: _SparseCV, X: NDArray, y: NDArray) -> NDArray:
    """Of each sample the fold that leaves it out, -1 for none."""
    fold = np.full(len(y), -1)
    splitter: Any = check_cv(estimator.cv, y, classifier=is_classifier(estimator))
    for number, (_, left_out) in enumerate(splitter.split(X, y)):
        if np.any(fold[left_out] >= 0):
            raise ValueError("cv=... leaves a sample out twice; use a splitter like KFold.")
        fold[left_out] = number
    return fold


def _fit_to_all(table: Table, found: Found) -> NDArray:
    """The solution for all samples."""
    problem = found.theta.of(table.problem)
    columns = problem.A.shape[1]
    solver = WorkingSet(min(2 * found.capacity, columns))
    x0, stop = jnp.zeros(columns), Stop(100, 1e-9)
    solution = solve(solver, problem, x0, gradient=Detach(), stop=stop)
    return np.asarray(solution.raise_if_failed().value)
