"""Outer problems: one regularisation weight per feature, chosen on held-out samples."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import unrolljax as uj

Data = tuple[Array, ...]


class Bilevel(NamedTuple):
    """Minimise `outer(theta, x, data)` over theta, x the minimiser of `inner(theta, x, data)`.

    - `data`: features and targets to train on, and those held out.
    - `learning_rate`: of the outer gradient descent with Nesterov momentum, for every competitor.
    """

    name: str
    inner: Callable[[Any, Any, Data], Float[Array, ""]]
    outer: Callable[[Any, Any, Data], Float[Array, ""]]
    theta0: Float[Array, " features"]
    x0: Float[Array, " features"]
    data: Data
    learning_rate: float

    @property
    def outer_fn(self) -> Callable:
        """The outer objective with its data as leaves."""
        return jax.tree_util.Partial(_outer_of, self.outer, self.data)

    @property
    def problem_fn(self) -> Callable:
        """From theta to the inner problem, with its data as leaves."""
        return jax.tree_util.Partial(_problem_of, self.inner, self.data)


def logistic(samples: int, features: int, learning_rate: float = 50.0) -> Bilevel:
    """Logistic regression on correlated features of falling scale, few of which matter."""
    data = _correlated(samples, features, seed=0)
    signs = tuple(np.where(t > 0, 1.0, -1.0) if t.ndim == 1 else t for t in data)
    return _bilevel(f"logistic {samples} x {features}", _logistic, signs, learning_rate)


def ridge(samples: int, features: int, learning_rate: float = 50.0) -> Bilevel:
    """Ridge regression on the same features."""
    data = _correlated(samples, features, seed=1)
    return _bilevel(f"ridge {samples} x {features}", _squares, data, learning_rate)


def _bilevel(name: str, loss: Callable, data: Any, learning_rate: float) -> Bilevel:
    features = data[0].shape[1]

    def inner(theta, x, data):
        return loss(x, *data[:2]) + jnp.sum(jnp.exp(theta) * x**2) / 2

    def outer(theta, x, data):
        # A wide hyperprior keeps the weights of features that do not matter from running away.
        return loss(x, *data[2:]) + HYPERPRIOR * jnp.sum((theta - FIRST_WEIGHT) ** 2) / 2

    arrays = tuple(map(jnp.asarray, data))
    theta0 = jnp.full(features, FIRST_WEIGHT)
    return Bilevel(name, inner, outer, theta0, jnp.zeros(features), arrays, learning_rate)


HYPERPRIOR = 1e-3
FIRST_WEIGHT = -6.0


def _correlated(samples: int, features: int, seed: int) -> Any:
    """Features like those of medical measurements: strongly correlated, few of them informative."""
    rng = np.random.default_rng(seed)
    mixing = np.linalg.qr(rng.standard_normal((features, features)))[0] * np.geomspace(
        1, 0.03, features
    )
    train, held_out = rng.standard_normal((2, samples, features)) @ mixing.T * np.sqrt(features)
    train, held_out = train / train.std(0), held_out / train.std(0)
    truth = rng.standard_normal(features) * (rng.random(features) < 0.1)
    targets, wanted = (m @ truth + rng.standard_normal(samples) for m in (train, held_out))
    return train, targets, held_out, wanted


def _logistic(x, features, signs):
    return jnp.mean(jnp.logaddexp(0, -signs * (features @ x)))


def _squares(x, features, targets):
    return jnp.mean((features @ x - targets) ** 2) / 2


def _outer_of(outer, data, theta, x):
    return outer(theta, x, data)


def _problem_of(inner, data, theta):
    return uj.Objective(_inner_of, (inner, data, theta))


def _inner_of(parameters, x):
    inner, data, theta = parameters
    return inner(theta, x, data)
