"""Training samples of which some have wrong labels, and clean ones to judge by."""

from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
import sklearn.datasets
from jaxtyping import Array, Bool, Float, Int
from numpy.typing import NDArray

from experiments.datacleaning import mnist
from experiments.datacleaning.mnist import Digits

CLASSES = 10

Name = Literal["mnist", "digits"]


class Samples(NamedTuple):
    """Pixels less their mean over the training images, and a constant 1; and the labels."""

    features: Float[Array, "samples features"]
    labels: Int[Array, " samples"]


class Data(NamedTuple):
    """The three sets, and which training labels are wrong (for judging only)."""

    training: Samples
    validation: Samples
    test: Samples
    wrong: Bool[Array, " training"]


def load(name: Name, training: int, validation: int, corrupted: float, seed: int) -> Data:
    """Draw the sets; `mnist` is tested on its own test images, `digits` on those that are left.

    Of the training labels the share `corrupted` is replaced by one of the nine other digits, as in
    the experiment of Franceschi et al. (2017). Raises ValueError where there are too few images.
    """
    pool = mnist.training() if name == "mnist" else _small()
    used = training + validation
    if used > len(pool.labels) - (name == "digits"):
        raise ValueError(
            f"training={training} and validation={validation} need {used} of the "
            f"{len(pool.labels)} images of data={name}: lower one of them."
        )
    random = np.random.default_rng(seed)
    order = random.permutation(len(pool.labels))
    clean, held_out, rest = (pool.take(part) for part in np.split(order, [training, used]))
    test = mnist.test() if name == "mnist" else rest
    wrong = random.permutation(training) < round(corrupted * training)
    labels = np.where(wrong, _other(clean.labels, random), clean.labels)
    mean = clean.images.mean(0)
    return Data(
        _samples(clean._replace(labels=labels), mean),
        _samples(held_out, mean),
        _samples(test, mean),
        jnp.asarray(wrong),
    )


def _small() -> Digits:
    """The 1797 images of scikit-learn, 8 x 8 pixels, which need no download."""
    images, labels = sklearn.datasets.load_digits(return_X_y=True)
    return Digits(np.asarray(images) / 16, np.asarray(labels, np.int32))


def _other(labels: NDArray[np.int32], random: np.random.Generator) -> NDArray[np.int32]:
    """A label for each that is not it, all nine equally likely."""
    return (labels + random.integers(1, CLASSES, labels.shape, np.int32)) % CLASSES


def _samples(digits: Digits, mean: NDArray[np.float64]) -> Samples:
    constant = np.ones((len(digits.labels), 1))
    features = np.hstack([digits.images - mean, constant])
    return Samples(jnp.asarray(features), jnp.asarray(digits.labels))
