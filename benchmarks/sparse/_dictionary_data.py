"""Digits and faces: samples with mean 0 and norm 1."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Table(NamedTuple):
    """Samples (samples, features) and their labels."""

    X: NDArray
    y: NDArray


def digits() -> Table:
    """1797 digits of 8 x 8 pixels, of scikit-learn."""
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return Table(normalised(np.asarray(X) / 16), np.asarray(y))


def faces() -> Table:
    """100 faces and 100 other patches of 25 x 25 pixels, of scikit-image."""
    from skimage.data import lfw_subset

    images = np.asarray(lfw_subset(), float)
    return Table(normalised(images.reshape(len(images), -1)), np.repeat([1, 0], 100))


def normalised(X: NDArray) -> NDArray:
    """Each sample less its mean, scaled to norm 1."""
    X = X - X.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(X, axis=1, keepdims=True)
    return X / np.where(norms > 0, norms, 1)
