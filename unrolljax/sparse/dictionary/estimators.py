"""Task-driven dictionary learning as a classifier and a regressor of scikit-learn."""

import collections
import warnings
from typing import Any, Self

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from unrolljax.core.solution import SolveFailed
from unrolljax.core.status import Status, describe
from unrolljax.core.stop import Stop
from unrolljax.gradients.mode import GradientMode
from unrolljax.sparse.dictionary.coder import ON_THE_SUPPORT, Coder
from unrolljax.sparse.dictionary.fitting import Fitted, fit
from unrolljax.sparse.dictionary.fitting import encode as encode_samples
from unrolljax.sparse.dictionary.model import Loss, Model, cross_entropy, squared_error


class _TaskDriven(BaseEstimator):
    """What classifier and regressor share: parameters, the fit, and the outputs of the model."""

    def __init__(
        self,
        n_components: int = 100,
        *,
        l1: float = 0.15,
        l2: float = 0.1,
        decay: float = 3e-5,
        epochs: int = 60,
        initial_epochs: int = 10,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        gradient: GradientMode | None = None,
        max_steps: int = 2000,
        tol: float = 1e-4,
        random_state: Any = None,
    ):
        self.n_components = n_components
        self.l1 = l1
        self.l2 = l2
        self.decay = decay
        self.epochs = epochs
        self.initial_epochs = initial_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.gradient = gradient
        self.max_steps = max_steps
        self.tol = tol
        self.random_state = random_state

    def encode(self, X: Any) -> Float[np.ndarray, "samples atoms"]:
        """The sparse codes of samples; raises `SolveFailed` where one was not found."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        codes = encode_samples(self._coder(), jnp.asarray(self.components_.T), X / self.scale_)
        failures = collections.Counter(c for c in codes.status.tolist() if Status(c).failed)
        if failures:
            lines = [f"{count} of {len(X)}: {describe(code)}" for code, count in failures.items()]
            raise SolveFailed("Samples could not be coded.\n" + "\n".join(lines))
        return codes.value.astype(np.float64)

    def _outputs(self, X: Any) -> Float[np.ndarray, "samples outputs"]:
        return self.encode(X) @ self.coef_.T + self.intercept_

    def _coder(self) -> Coder:
        """The coder, its numbers as arrays."""
        l1, l2, tol = (jnp.asarray(v, float) for v in (self.l1, self.l2, self.tol))
        gradient = ON_THE_SUPPORT if self.gradient is None else self.gradient
        return Coder(l1, l2, gradient, Stop(self.max_steps, tol))

    def _fit(self, X: Float[np.ndarray, "n m"], targets: np.ndarray, loss: Loss) -> Self:
        """Scale the samples to a mean square norm of 1, fit, and keep what was found."""
        self._check_numbers()
        scale = float(np.sqrt(np.mean(np.sum(X**2, axis=1))))
        self.scale_ = scale if scale > 0 else 1.0
        random = np.random.default_rng(check_random_state(self.random_state).randint(2**31 - 1))
        samples, outputs = (jnp.asarray(v, float) for v in (X / self.scale_, targets))
        fitted = fit(
            samples, outputs, loss, self._coder(), random,
            atoms=self.n_components, batch=self.batch_size, initial_epochs=self.initial_epochs,
            epochs=self.epochs, learning_rate=self.learning_rate, decay=self.decay,
        )  # fmt: skip
        self._keep(fitted.trained.model)
        self.loss_curve_ = np.asarray(fitted.trained.loss)
        self.status_ = _count(fitted.status)
        self.training_status_ = _count(fitted.trained.status)
        self.n_skipped_ = int(np.sum(fitted.trained.skipped))
        self._report(fitted)
        return self

    def _keep(self, model: Model) -> None:
        self.components_ = np.asarray(model.dictionary, np.float64).T
        self.coef_ = np.asarray(model.head.weights, np.float64).T
        self.intercept_ = np.asarray(model.head.intercept, np.float64)

    def _report(self, fitted: Fitted) -> None:
        """Warn of codes that were not found, of updates left out, and of a fit that is none."""
        failed = sum(n for name, n in self.status_.items() if Status[name].failed)
        if failed or self.n_skipped_:
            warnings.warn(
                f"{failed} of {fitted.status.size} samples could not be coded and "
                f"{self.n_skipped_} of {fitted.trained.skipped.size} updates were left out "
                f"(status_={self.status_}, training_status_={self.training_status_}). Raise "
                "max_steps, loosen tol, or raise l2.",
                ConvergenceWarning,
                stacklevel=4,
            )

    def _check_numbers(self) -> None:
        positive = ("l1", "learning_rate", "tol", "max_steps", "n_components", "batch_size")
        for name in (*positive, "l2", "decay", "epochs", "initial_epochs"):
            value = getattr(self, name)
            least = "positive" if name in positive else "at least 0"
            if not np.isfinite(value) or value < 0 or (name in positive and value == 0):
                raise ValueError(f"{name}={value!r} must be {least} and finite.")


class TaskDrivenClassifier(ClassifierMixin, _TaskDriven):
    """Classify samples by a linear function of their sparse codes, the dictionary learned for it.

    Task-driven dictionary learning (Mairal, Bach & Ponce 2012): the elastic-net code of a sample
    is an inner problem, the multinomial logistic loss of a linear classifier on it the outer one,
    and dictionary and classifier are trained on the latter with the code's derivative.

    - `n_components`: atoms; at most as many as samples are used.
    - `l1`, `l2`: penalties of a code, for samples of norm 1 (all are divided by one scale).
    - `decay`: half the squared norm of the classifier's weights costs this much.
    - `epochs`, `batch_size`, `learning_rate`: of Adam, whose rate falls to zero like a cosine;
      `initial_epochs`: of the unsupervised dictionary with which it starts.
    - `gradient`: a gradient mode of unrolljax; None is `Implicit` on the support.
    - `max_steps`, `tol`: of each code.
    - `random_state`: a seed gives the same fit, to the bit.

    Fitted: `components_` (atoms, features), `coef_`, `intercept_`, `scale_`, `classes_`,
    `loss_curve_` (epochs), `status_` and `training_status_` (how codes of the training samples
    ended, counted: at the end, and in all solves), `n_skipped_` (updates left out because a
    gradient was not finite). Failures raise a ConvergenceWarning in `fit`, `SolveFailed` later.
    Numbers have JAX's default precision: float32 unless jax_enable_x64 is set.
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from samples (samples, features) and labels (samples,)."""
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_, places = np.unique(y, return_inverse=True)
        return self._fit(X, np.eye(len(self.classes_))[places], cross_entropy)

    def decision_function(self, X: Any) -> np.ndarray:
        """Scores (samples, classes); of two classes, that of the second less that of the first."""
        scores = self._outputs(X)
        return scores[:, 1] - scores[:, 0] if len(self.classes_) == 2 else scores

    def predict_proba(self, X: Any) -> Float[np.ndarray, "samples classes"]:
        """Probabilities of the classes."""
        return softmax(self._outputs(X), axis=1)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each sample."""
        best = np.argmax(self._outputs(X), axis=1)
        return self.classes_[best]


class TaskDrivenRegressor(RegressorMixin, _TaskDriven):
    """Predict numbers by a linear function of sparse codes, the dictionary learned for it.

    As `TaskDrivenClassifier`, with half the squared error as loss, of targets that are shifted and
    scaled to mean 0 and variance 1 (`target_mean_`, `target_scale_`).
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from samples (samples, features) and numbers (samples,)."""
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        self.target_mean_, spread = float(np.mean(y)), float(np.std(y))
        self.target_scale_ = spread if spread > 0 else 1.0
        targets = (y - self.target_mean_) / self.target_scale_
        return self._fit(X, targets[:, None], squared_error)

    def predict(self, X: Any) -> Float[np.ndarray, " samples"]:
        """The predicted numbers."""
        return self._outputs(X)[:, 0] * self.target_scale_ + self.target_mean_


def _count(status: Int[Any, "..."]) -> dict[str, int]:
    """How many solves ended in which way."""
    counts = collections.Counter(np.ravel(np.asarray(status)).tolist())
    return {Status(code).name: counts[code] for code in sorted(counts)}
