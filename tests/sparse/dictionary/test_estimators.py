"""The estimators: scikit-learn's own checks, digits, a regression, failures, determinism."""

import subprocess
import sys

import jax
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

import unrolljax as uj
from unrolljax.sparse.dictionary.estimators import TaskDrivenClassifier, TaskDrivenRegressor

SMALL = {
    "n_components": 8,
    "epochs": 10,
    "initial_epochs": 3,
    "batch_size": 16,
    "learning_rate": 1e-2,
}


@pytest.fixture(autouse=True)
def _promotion():
    """Adam counts its steps in int32, which strict promotion refuses."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@parametrize_with_checks([TaskDrivenClassifier(**SMALL), TaskDrivenRegressor(**SMALL)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(n_class=4, return_X_y=True)
    X = X - X.mean(axis=1, keepdims=True)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    return X[:400], np.asarray(list("abcd"))[y[:400]]


def classifier(**numbers):
    return TaskDrivenClassifier(12, epochs=20, initial_epochs=3, random_state=0, **numbers)


def test_it_classifies_better_than_the_dictionary_that_it_starts_with(digits):
    X, y = digits
    model = classifier(learning_rate=1e-2).fit(X[:250], y[:250])
    before = classifier(learning_rate=1e-9).fit(X[:250], y[:250])
    plain = LogisticRegression(C=100.0, max_iter=1000).fit(before.encode(X[:250]), y[:250])
    assert plain.score(before.encode(X[250:]), y[250:]) < 0.97
    assert model.score(X[250:], y[250:]) > 0.98
    assert model.loss_curve_[-1] < 0.6 * model.loss_curve_[0]
    assert model.status_ == {"CONVERGED": 250}
    assert set(model.training_status_) == {"CONVERGED"}
    assert np.all(np.linalg.norm(model.components_, axis=1) <= 1 + 1e-12)
    assert model.classes_.tolist() == list("abcd")


def test_the_same_seed_gives_the_same_fit_to_the_bit(digits):
    first, second, other = (classifier().fit(*digits) for _ in range(3))
    assert np.array_equal(first.components_, second.components_)
    assert np.array_equal(first.coef_, second.coef_)
    other = classifier().set_params(random_state=1).fit(*digits)
    assert not np.array_equal(first.components_, other.components_)


def test_a_code_does_not_depend_on_its_neighbours(digits):
    model = classifier().fit(*digits)
    together = model.encode(digits[0])
    assert np.array_equal(together[7:9], model.encode(digits[0][7:9]))


def test_the_scale_of_the_samples_does_not_matter(digits):
    X, y = digits
    plain, scaled = classifier().fit(X, y), classifier().fit(1024 * X, y)
    np.testing.assert_allclose(plain.predict_proba(X), scaled.predict_proba(1024 * X), atol=1e-10)


def test_a_regression_recovers_numbers_that_are_linear_in_codes():
    """Two atoms used by turns: the target is linear in the code that has no penalty."""
    random = np.random.default_rng(0)
    amplitude, turn = 1 + random.random(300), random.integers(0, 2, 300)
    X = np.zeros((300, 4))
    X[np.arange(300), turn] = amplitude
    y = np.where(turn == 0, amplitude, -3 * amplitude) + 100
    model = TaskDrivenRegressor(
        2, l1=1e-3, l2=1e-3, epochs=100, learning_rate=5e-3, decay=0.0, batch_size=50,
        random_state=1,
    ).fit(X[:200], y[:200])  # fmt: skip
    assert model.score(X[200:], y[200:]) > 1 - 1e-6
    atoms = np.abs(model.components_)
    np.testing.assert_allclose(atoms[np.argmax(atoms, axis=0)[:2]], np.eye(2, 4), atol=0.02)


def test_a_code_that_was_not_found_is_no_result(digits):
    X, y = digits
    with pytest.warns(ConvergenceWarning, match="Raise max_steps"):
        model = classifier(max_steps=2).fit(X, y)
    assert model.n_skipped_ > 0
    assert model.status_["MAX_STEPS"] > 0
    with pytest.raises(uj.SolveFailed, match="max_steps"):
        model.predict(X)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("l1", 0.0), ("l2", -1.0), ("decay", np.nan), ("learning_rate", 0.0), ("tol", -1e-3),
        ("n_components", 0), ("batch_size", 0), ("epochs", 0), ("initial_epochs", 0),
        ("max_steps", 0),
    ],
)  # fmt: skip
def test_a_bad_parameter_is_named(digits, name, value):
    with pytest.raises(ValueError, match=f"{name}="):
        clone(classifier()).set_params(**{name: value}).fit(*digits)


def test_neither_the_package_imports_scikit_learn_nor_the_estimators_touch_jax():
    code = (
        "import sys, jax; before = dict(jax.config.values)\n"
        "import unrolljax.sparse.dictionary; assert 'sklearn' not in sys.modules\n"
        "import numpy as np\n"
        "from unrolljax.sparse.dictionary.estimators import TaskDrivenRegressor\n"
        "X = np.random.default_rng(0).normal(size=(20, 3))\n"
        "TaskDrivenRegressor(3, epochs=1, initial_epochs=1, batch_size=10).fit(X, X[:, 0])\n"
        "assert before.items() <= jax.config.values.items()\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, capture_output=True)
