"""Patches of the Hubble deep field, what is measured of them, and the crop that is held out."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import skimage.color
import skimage.data
from jaxtyping import Array, Float, Int
from numpy.typing import NDArray

from unrolljax.prox.wavelets import Wavelets
from unrolljax.sparse.analytic import analytic_weight
from unrolljax.sparse.measurements import fourier_rows, gaussian_rows
from unrolljax.sparse.sensing import Sensing
from unrolljax.sparse.training import Codes, total_nmse
from unrolljax.sparse.wiener import wiener_weight

HELD_OUT = (slice(310, 566), slice(420, 676))
VALIDATION = (slice(40, 168), slice(40, 168))
ROWS = {"gaussian": gaussian_rows, "fourier": fourier_rows}


class Camera(eqx.Module):
    """What is measured of a patch: its mean, and `A x` of the rest's code x, all with noise.

    - `rows`: (measurements, pixels), orthonormal, the first one constant.
    - `atoms`: (unknowns, pixels), the wavelets of mean zero, divided by numbers that give the
      columns of the sensing matrix norm 1; `encoder`: the inverse, (pixels, unknowns).
    - `noise`: standard deviation of each measurement, in grey values.
    """

    rows: Float[Array, "m pixels"]
    atoms: Float[Array, "n pixels"]
    encoder: Float[Array, "pixels n"]
    sensing: Sensing
    noise: Array

    def expose(self, patches: Float[Array, "batch pixels"], key: Array) -> Array:
        """Noisy measurements (batch, m)."""
        exact = patches @ self.rows.T
        return exact + self.noise * jax.random.normal(key, exact.shape, exact.dtype)

    def codes(self, patches: Float[Array, "batch pixels"], key: Array) -> Codes:
        """Of each patch the code without the mean, and its measurements."""
        return Codes(patches @ self.encoder, self.expose(patches, key)[:, 1:])

    def develop(self, x: Float[Array, "batch n"], mean: Float[Array, " batch"]) -> Array:
        """The patches (batch, pixels) of codes and of the measured means."""
        return x @ self.atoms + jnp.outer(mean, self.rows[0])

    def error(self, found: Float[Array, "batch n"], truth: Float[Array, "batch n"]) -> Array:
        """The total NMSE, in dB, of patches without their means."""
        return total_nmse(found @ self.atoms, truth @ self.atoms)


class Bench(eqx.Module):
    """The camera, and the patches (patches, pixels) of training."""

    camera: Camera
    patches: Float[Array, "patches pixels"]


class Prior(NamedTuple):
    """What the training patches say of codes.

    - `bands`: the band of each entry; `scale`: the root mean square of that band.
    - `linear`: the Wiener weight.
    """

    bands: Int[np.ndarray, " n"]
    scale: Float[np.ndarray, " n"]
    linear: Float[np.ndarray, "m n"]


def camera(
    measurements: str,
    patches: NDArray,
    wavelets: Wavelets,
    count: int,
    noise: float,
    weight: str,
    seed: int,
) -> tuple[Camera, Prior]:
    """The camera of so many measurements a patch, and the prior of these (training) patches.

    The networks correlate by the analytic or by the Wiener weight; numpy computes in float64.
    """
    pixels = patches.shape[1]
    rows = ROWS[measurements](wavelets.shape, count, np.random.default_rng(seed))
    with jax.enable_x64(True):
        everything = jax.vmap(wavelets.synthesise)(jnp.eye(pixels, dtype=float))
    # With all scales the first coefficient is the mean.
    atoms = np.asarray(everything).reshape(pixels, pixels)[1:]
    A = rows[1:] @ atoms.T
    norms = np.linalg.norm(A, axis=0)
    A, atoms, encoder = A / norms, atoms / norms[:, None], atoms.T * norms
    x = patches @ encoder
    linear = wiener_weight(A, x.T @ x / len(x), noise)
    W = linear if weight == "wiener" else analytic_weight(A)
    bands = wavelets.bands()[1:] - 1
    power = np.bincount(bands, np.mean(x**2, axis=0)) / np.bincount(bands)
    precision = jnp.zeros(()).dtype
    sensing = Sensing(jnp.asarray(A, precision), jnp.asarray(W, precision))
    arrays = [jnp.asarray(v, precision) for v in (rows, atoms, encoder, noise)]
    seen = Camera(*arrays[:3], sensing=sensing, noise=arrays[3])
    return seen, Prior(bands, np.sqrt(power)[bands], linear)


def training_patches(count: int, size: int, seed: int) -> NDArray:
    """Patches (count, pixels) outside both windows, each turned or mirrored at random."""
    random = np.random.default_rng(seed)
    image, found = _hubble(), []
    while len(found) < count:
        row, column = (int(random.integers(side - size + 1)) for side in image.shape)
        if all(_apart(row, column, size, window) for window in (HELD_OUT, VALIDATION)):
            patch = np.rot90(
                image[row : row + size, column : column + size], int(random.integers(4))
            )
            found.append((patch.T if random.random() < 0.5 else patch).ravel())
    return np.stack(found)


def cut(image: NDArray, size: int) -> NDArray:
    """An image as patches (patches, pixels), row after row."""
    rows, columns = (side // size for side in image.shape)
    return image.reshape(rows, size, columns, size).swapaxes(1, 2).reshape(-1, size * size)


def join(patches: NDArray, shape: tuple[int, int], size: int) -> NDArray:
    """The image of its patches: the inverse of `cut`."""
    rows, columns = (side // size for side in shape)
    return patches.reshape(rows, columns, size, size).swapaxes(1, 2).reshape(shape)


def window(where: tuple[slice, slice]) -> NDArray:
    """That part of the deep field, grey values in [0, 1]."""
    return _hubble()[where]


def _hubble() -> NDArray:
    return skimage.color.rgb2gray(skimage.data.hubble_deep_field() / 255.0)


def _apart(row: int, column: int, size: int, window: tuple[slice, slice]) -> bool:
    rows, columns = window
    beside = row + size <= rows.start or row >= rows.stop
    return beside or column + size <= columns.start or column >= columns.stop
