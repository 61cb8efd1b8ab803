"""Estimators against scikit-learn's, and its checks."""

import jax
import numpy as np
import pytest
from sklearn import linear_model
from sklearn.model_selection import KFold, ShuffleSplit, cross_val_predict
from sklearn.utils.estimator_checks import check_estimator

from unrolljax.sparse.model_selection.designs import correlated
from unrolljax.sparse.model_selection.estimators import (
    ElasticNetCV,
    LassoCV,
    SparseLogisticCV,
    WeightedLassoCV,
)

DESIGN = correlated(60, 40, 5, 0.5, 2.0, seed=0)
SCALE = 10.0 ** np.linspace(-1, 1, 40)
X, Y = DESIGN.A * SCALE + 3.0, DESIGN.y + 7.0
FOLDS = KFold(3)


def test_the_lasso_is_scikit_learns_at_a_penalty_as_good():
    ours = LassoCV(cv=FOLDS).fit(X, Y)
    theirs = linear_model.LassoCV(cv=FOLDS, alphas=200, tol=1e-6, max_iter=100_000).fit(X, Y)
    assert ours.status_ == "CONVERGED"
    assert 2 * ours.criterion_ <= 1.001 * theirs.mse_path_.mean(axis=1).min()
    same = linear_model.Lasso(ours.alpha_, tol=1e-12, max_iter=100_000).fit(X, Y)
    np.testing.assert_allclose(ours.coef_, same.coef_, atol=1e-7)
    np.testing.assert_allclose(ours.intercept_, same.intercept_, atol=1e-5)
    left_out = cross_val_predict(linear_model.Lasso(ours.alpha_, tol=1e-10), X, Y, cv=FOLDS)
    np.testing.assert_allclose(np.mean((Y - left_out) ** 2), 2 * ours.criterion_, rtol=1e-6)


def test_the_elastic_net_is_scikit_learns_at_penalties_as_good():
    ours = ElasticNetCV(cv=FOLDS, max_iter=40).fit(X, Y)
    ratios = [0.1, 0.5, 0.7, 0.9, 0.95, 0.99]
    theirs = linear_model.ElasticNetCV(l1_ratio=ratios, cv=FOLDS, max_iter=100_000).fit(X, Y)
    assert 2 * ours.criterion_ <= 1.001 * theirs.mse_path_.mean(axis=2).min()
    same = linear_model.ElasticNet(
        ours.alpha_, l1_ratio=ours.l1_ratio_, tol=1e-12, max_iter=100_000
    )
    np.testing.assert_allclose(ours.coef_, same.fit(X, Y).coef_, atol=1e-7)


def test_a_penalty_for_each_feature_lowers_the_criterion():
    common = LassoCV(cv=FOLDS).fit(X, Y)
    each = WeightedLassoCV(cv=FOLDS).fit(X, Y)
    assert each.criterion_ < 0.95 * common.criterion_
    assert each.weights_.shape == (40,)


def test_sparse_logistic_regression_is_scikit_learns():
    labels = np.where(Y > 7, "yes", "no")
    ours = SparseLogisticCV(cv=3).fit(DESIGN.A, labels)
    # The intercept of liblinear is penalised; that of saga is not.
    same = linear_model.LogisticRegression(
        l1_ratio=1.0, C=1 / (60 * ours.alpha_), solver="saga", tol=1e-10, max_iter=100_000
    ).fit(DESIGN.A, labels)
    np.testing.assert_allclose(ours.coef_, same.coef_, atol=1e-5)
    np.testing.assert_allclose(ours.intercept_, same.intercept_, atol=1e-5)
    np.testing.assert_allclose(
        ours.predict_proba(DESIGN.A), same.predict_proba(DESIGN.A), atol=1e-5
    )
    assert np.mean(ours.predict(DESIGN.A) == labels) > 0.8


def test_they_compute_in_double_precision_and_leave_the_configuration():
    with jax.enable_x64(False):
        fitted = LassoCV(cv=FOLDS).fit(X, Y)
        assert not jax.config.jax_enable_x64
    np.testing.assert_array_equal(fitted.coef_, LassoCV(cv=FOLDS).fit(X, Y).coef_)


def test_what_cannot_work_is_refused():
    with pytest.raises(ValueError, match="eps=0"):
        LassoCV(eps=0).fit(X, Y)
    with pytest.raises(ValueError, match="leaves a sample out twice"):
        LassoCV(cv=ShuffleSplit(3, test_size=0.5, random_state=0)).fit(X, Y)


@pytest.mark.filterwarnings("ignore:Skipping check:sklearn.exceptions.SkipTestWarning")
@pytest.mark.parametrize("kind", [LassoCV, ElasticNetCV, WeightedLassoCV, SparseLogisticCV])
def test_scikit_learns_checks_pass(kind):
    check_estimator(kind(n_alphas=5, max_iter=3, cv=2), on_skip=None)
