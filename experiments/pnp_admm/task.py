"""Photographs out of focus: what is measured of them, and what training draws."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from unrolljax.imaging import data_terms, operators, psf
from unrolljax.imaging.training import Measured
from unrolljax.imaging.training.denoising import patches
from unrolljax.imaging.training.images import grey, tiles

KERNEL = 25
"""Pixels of the point spread function, along each side."""

Picture = Float[Array, "height width 1"]


class Task(eqx.Module):
    """Pictures (count, size, size) in bytes, the point spread function, the noise's deviation."""

    pictures: UInt8[Array, "count size size"]
    kernel: Float[Array, "rows columns"]
    noise: Array

    @classmethod
    def of_photographs(cls, count: int, width: float, noise: float, seed: int) -> "Task":
        """A Gaussian point spread function, its standard deviation in pixels."""
        kernel = psf.gaussian(KERNEL, jnp.asarray(width).astype(float))
        return cls(jnp.asarray(tiles(count, seed=seed)), kernel, jnp.asarray(noise).astype(float))

    def measure(self, picture: Picture, key: Array) -> data_terms.Gaussian:
        """Circular blur, then white noise."""
        blur = operators.Blur(self.kernel, picture.shape)  # pyright: ignore
        noise = self.noise * jax.random.normal(key, picture.shape, picture.dtype)
        return data_terms.Gaussian(blur, blur(picture) + noise, self.noise)

    def measured(self, pictures: Float[Array, "count height width 1"], key: Array) -> Measured:
        """Each picture measured with noise of its own."""
        keys = jax.random.split(key, len(pictures))
        return Measured(eqx.filter_vmap(self.measure)(pictures, keys), pictures)


def sample(task: Task, key: Array, count: int, size: int) -> Measured:
    """Random crops of the pictures, measured."""
    cut, noise = jax.random.split(key)
    return task.measured(patches(task.pictures, cut, count, size, task.noise.dtype), noise)


def camera() -> Picture:
    """The cameraman, 256 x 256, which is never trained on."""
    halved = grey("camera").reshape(256, 2, 256, 2).mean((1, 3))
    return jnp.asarray(halved, jnp.zeros(()).dtype)[..., None]


def crops(picture: Picture, size: int, count: int) -> Float[Array, "count size size 1"]:
    """The middle of a picture as squares side by side, the first `count` of them."""
    rows, columns = (extent // size for extent in picture.shape[:2])
    cut = picture[: rows * size, : columns * size].reshape(rows, size, columns, size, 1)
    squares = cut.swapaxes(1, 2).reshape(-1, size, size, 1)
    return squares[jnp.linspace(0, len(squares) - 1, count).astype(int)]
