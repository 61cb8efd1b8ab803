"""Orthonormal measurements of images: Gaussian, or some of their frequencies.

Both measure the mean of an image as well, in their first row, so that the others see only how
pixels differ from it.
"""

import numpy as np


def gaussian_rows(shape: tuple[int, int], count: int, random: np.random.Generator) -> np.ndarray:
    """Random orthonormal rows (count, pixels), uniform in direction, the first one constant.

    Raises a ValueError unless 1 <= count <= pixels.
    """
    pixels = _checked(shape, count)
    rows = random.standard_normal((count, pixels))
    rows[0] = 1
    orthonormal, triangle = np.linalg.qr(rows.T)
    return (orthonormal * np.sign(np.diag(triangle))).T


def fourier_rows(
    shape: tuple[int, int], count: int, random: np.random.Generator, decay: float = 1.0
) -> np.ndarray:
    """The real and imaginary parts of random frequencies, as orthonormal rows (count, pixels).

    The mean and the eight frequencies next to it are measured always, others with a probability
    proportional to `(1 + |k|)^-decay`, k counted in periods of the image: variable density
    (Lustig, Donoho & Pauly 2007), since images have most of their energy at low frequencies. An
    interferometer measures such numbers. Of the last frequency the imaginary part may be left out.
    Raises a ValueError unless 1 <= count <= pixels.
    """
    pixels = _checked(shape, count)
    frequencies = _half_plane(shape)
    distance = np.hypot(*frequencies.T)
    # Gumbel's trick: the order of these keys is a draw without replacement.
    keys = -decay * np.log1p(distance) + random.gumbel(size=len(distance))
    near = np.max(np.abs(frequencies), axis=1) <= 1
    order = np.lexsort((-keys, ~near, distance > 0))
    places = np.indices(shape).reshape(2, pixels) / np.array(shape)[:, None]
    angles = 2 * np.pi * frequencies[order] @ places
    rows = np.stack([np.cos(angles), np.sin(angles)], axis=1).reshape(-1, pixels)
    norms = np.linalg.norm(rows, axis=1)
    # Frequencies that are their own mirror images have no imaginary part.
    real = norms > 1e-6 * np.sqrt(pixels)
    return (rows[real] / norms[real, None])[:count]


def _half_plane(shape: tuple[int, int]) -> np.ndarray:
    """Of each frequency and its mirror image one: (frequencies, 2), in periods of the image."""
    rows, columns = shape
    grid = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), axis=-1)
    grid = grid.reshape(-1, 2)
    numbers = grid @ np.array([columns, 1])
    mirrored = (-grid % np.array(shape)) @ np.array([columns, 1])
    kept = grid[numbers <= mirrored]
    half = np.array(shape) // 2
    return (kept + half) % np.array(shape) - half


def _checked(shape: tuple[int, int], count: int) -> int:
    """The number of pixels; raises unless so many measurements can be orthonormal."""
    pixels = int(np.prod(shape))
    if not 1 <= count <= pixels:
        raise ValueError(f"count={count} must be between 1 and the {pixels} pixels of {shape}.")
    return pixels
