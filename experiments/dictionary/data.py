"""Digits of scikit-learn, split in two."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


class Digits(NamedTuple):
    """Images of mean 0 and norm 1, and their labels as one-hot rows."""

    samples: Float[Array, "n features"]
    targets: Float[Array, "n classes"]

    @property
    def labels(self) -> Int[np.ndarray, " n"]:
        """The digits."""
        return np.argmax(self.targets, axis=1)

    def part(self, places: Int[Array, " part"] | slice) -> "Digits":
        """Some of them."""
        return Digits(self.samples[places], self.targets[places])


def load(training: int) -> tuple[Digits, Digits]:
    """The first `training` of 1797 images of 8 x 8 pixels, and the others."""
    # The import takes seconds, which validating a configuration must not.
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images = np.asarray(images) / 16
    images = images - images.mean(axis=1, keepdims=True)
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    table = Digits(jnp.asarray(images, float), jnp.asarray(np.eye(10)[labels], float))
    return table.part(slice(0, training)), table.part(slice(training, None))
