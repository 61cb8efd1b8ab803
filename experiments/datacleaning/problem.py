"""The bilevel problem: softmax regression on weighted samples, judged by a validation loss."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

import unrolljax as uj
from experiments.datacleaning.data import CLASSES, Samples

Model = Float[Array, "features classes"]
LogOdds = Float[Array, " training"]


def cross_entropies(model: Model, samples: Samples) -> Float[Array, " samples"]:
    """The negative log-likelihood of each sample's label."""
    scores = samples.features @ model
    own = jax.nn.one_hot(samples.labels, CLASSES, dtype=scores.dtype)
    return jax.nn.logsumexp(scores, axis=1) - jnp.sum(own * scores, axis=1)


class Regression(eqx.Module):
    """Minimise `shares . cross_entropies + ridge |model|^2`; the shares are weights over n."""

    samples: Samples
    shares: Float[Array, " samples"]
    ridge: Float[Array, ""]

    def objective(self, model: Model) -> Float[Array, ""]:
        """The penalised loss, strongly convex."""
        loss = self.shares @ cross_entropies(model, self.samples)
        return loss + self.ridge * jnp.sum(model**2)


class Training(eqx.Module):
    """The inner problem of the log odds: sample i weighs `sigmoid(log_odds[i])`."""

    samples: Samples
    ridge: Float[Array, ""]

    def __call__(self, log_odds: LogOdds) -> Regression:
        """The regression whose solution is the model."""
        shares = jax.nn.sigmoid(log_odds) / log_odds.size
        return Regression(self.samples, shares, self.ridge)


class Validation(eqx.Module):
    """The outer objective: the mean loss on clean samples."""

    samples: Samples

    def __call__(self, log_odds: LogOdds, model: Model) -> Float[Array, ""]:
        """Depends on the log odds through the model alone."""
        del log_odds
        return jnp.mean(cross_entropies(model, self.samples))


def zero_model(samples: Samples) -> Model:
    """Where the first solve starts."""
    return jnp.zeros((samples.features.shape[1], CLASSES), samples.features.dtype)


def flagged(log_odds: LogOdds) -> Bool[Array, " training"]:
    """The samples that are taken for wrong: those of weight below 1/2, where all start."""
    return log_odds < 0


def accuracy(model: Model, samples: Samples) -> Float[Array, ""]:
    """The share of labels that are predicted right, in per cent."""
    predicted = jnp.argmax(samples.features @ model, axis=1).astype(samples.labels.dtype)
    return 100 * jnp.mean((predicted == samples.labels).astype(model.dtype))


def f1(found: Bool[Array, " training"], wrong: Bool[Array, " training"]) -> Float[Array, ""]:
    """The harmonic mean of precision and recall; 0 where nothing is found."""
    return 2 * jnp.sum(found & wrong) / jnp.maximum(jnp.sum(found) + jnp.sum(wrong), 1)


def nesterov(samples: Samples, ridge: float) -> uj.GradientDescent:
    """Accelerated gradient descent that suits every choice of weights.

    The Hessian of a cross-entropy in the scores is at most 1/2, and no weight exceeds 1.
    """
    largest = jnp.linalg.norm(samples.features, 2) ** 2 / samples.labels.size / 2 + 2 * ridge
    root = jnp.sqrt(largest / (2 * ridge))
    return uj.GradientDescent(1 / largest, (root - 1) / (root + 1), "nesterov")
