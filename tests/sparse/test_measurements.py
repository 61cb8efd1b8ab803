"""Measurements of images, and the linear estimate from them, against FFTs and closed forms."""

import numpy as np
import pytest

from unrolljax.sparse.measurements import fourier_rows, gaussian_rows
from unrolljax.sparse.wiener import wiener_weight

KINDS = pytest.mark.parametrize("rows_of", [gaussian_rows, fourier_rows])


@KINDS
@pytest.mark.parametrize(("shape", "count"), [((8, 8), 20), ((6, 5), 30), ((8, 8), 64)])
def test_rows_are_orthonormal_and_the_first_is_the_mean(rows_of, shape, count):
    rows = rows_of(shape, count, np.random.default_rng(0))
    pixels = shape[0] * shape[1]
    assert rows.shape == (count, pixels)
    np.testing.assert_allclose(rows @ rows.T, np.eye(count), atol=1e-12)
    np.testing.assert_allclose(rows[0], 1 / np.sqrt(pixels))


def test_fourier_rows_are_parts_of_few_frequencies_the_lowest_among_them():
    rows = fourier_rows((16, 16), 60, np.random.default_rng(0))
    power = np.abs(np.fft.fft2(rows.reshape(-1, 16, 16))) ** 2
    assert np.all(np.sum(power > 1e-9, axis=(1, 2)) <= 2)
    seen = np.sum(power, axis=0) > 1e-9
    assert seen[np.ix_([0, 1, -1], [0, 1, -1])].all()
    assert 58 <= seen.sum() <= 62


def test_decay_prefers_low_frequencies():
    def distance(decay):
        rows = fourier_rows((16, 16), 64, np.random.default_rng(0), decay)
        power = np.sum(np.abs(np.fft.fft2(rows.reshape(-1, 16, 16))) ** 2, axis=0)
        ticks = np.fft.fftfreq(16, 1 / 16)
        return np.average(np.hypot(ticks[:, None], ticks), weights=power)

    near, middle, far = (distance(decay) for decay in (3.0, 1.0, 0.0))
    assert near + 0.4 < middle < far - 0.4


@KINDS
@pytest.mark.parametrize("count", [0, 65])
def test_more_rows_than_pixels_are_refused(rows_of, count):
    with pytest.raises(ValueError, match="count"):
        rows_of((8, 8), count, np.random.default_rng(0))


def test_the_wiener_estimate_is_the_best_of_linear_ones():
    random = np.random.default_rng(0)
    A = random.standard_normal((3, 5))
    root = random.standard_normal((5, 5))
    C, noise = root @ root.T, 0.3

    def error(W):
        rest = np.eye(5) - W.T @ A
        return np.trace(rest @ C @ rest.T) + noise**2 * np.sum(W**2)

    W = wiener_weight(A, C, noise)
    # The information form, by the matrix inversion lemma.
    information = np.linalg.solve(np.linalg.inv(C) + A.T @ A / noise**2, A.T) / noise**2
    np.testing.assert_allclose(W.T, information, atol=1e-9)
    others = [W + 1e-3 * random.standard_normal(W.shape) for _ in range(5)]
    assert all(error(other) > error(W) for other in others)


def test_wiener_weights_of_what_cannot_be_inverted_are_refused():
    A = np.ones((2, 3))
    with pytest.raises(ValueError, match="shape"):
        wiener_weight(A, np.eye(2), 0.1)
    with pytest.raises(ValueError, match="positive definite"):
        wiener_weight(A, np.zeros((3, 3)), 0.0)
    with pytest.raises(ValueError, match="positive definite"):
        wiener_weight(A, np.full((3, 3), np.nan), 0.1)
