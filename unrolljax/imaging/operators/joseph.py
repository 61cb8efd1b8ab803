"""Parallel rays through pixels (Joseph 1982): projection and back-projection.

A ray meets each row once (each column, where it is nearer to horizontal), between two pixels, which
are interpolated linearly. Seen from a pixel, that is a triangle on the detector, as wide as the
larger of |cos| and |sin|: the transpose is a sum over two rays an angle. Both read at computed
places. JAX's own transpose of either would write to such places, which is far slower: so they are
primitives, each the transpose of the other in the image, and JAX has forward mode, reverse mode and
all higher derivatives, in the angles too.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float

Image = Float[Array, "height width channels"]
Sinogram = Float[Array, "count bins channels"]
Angles = Float[Array, " count"]
Shape = tuple[int, int]


def reach(shape: Shape) -> int:
    """Every pixel is nearer to the middle one, at (height // 2, width // 2), than this."""
    return 1 + math.isqrt((shape[0] // 2) ** 2 + (shape[1] // 2) ** 2)


def project(angles: Angles, x: Image) -> Sinogram:
    """What every ray sees: `2 reach(shape) + 1` rays an angle, one pixel apart."""
    return _projection.bind(angles, x, shape=x.shape[:2])


def _project(angles: Angles, x: Image, *, shape: Shape) -> Sinogram:
    """The sum over rows (or columns) of the two pixels that each ray passes between."""
    cos, sin = _directions(angles, x.dtype)
    (height, width), (top, left) = shape, (n // 2 for n in shape)
    steep = jnp.abs(cos) >= jnp.abs(sin)
    along = jnp.where(steep, cos, sin)
    line = jnp.arange(max(shape))[None, None]
    t = (line - jnp.where(steep, top, left)).astype(x.dtype)
    s = _centred(2 * reach(shape) + 1, x.dtype)[None, :, None]
    place = jnp.where(steep, s + t * sin, t * cos - s) / along
    first, share = _split(place + jnp.where(steep, left, top).astype(x.dtype))

    def pixel(other: Array) -> Array:
        row, column = jnp.where(steep, line, other), jnp.where(steep, other, line)
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        value = x[jnp.clip(row, 0, height - 1), jnp.clip(column, 0, width - 1)]
        return jnp.where(inside[..., None], value, 0)

    seen = (1 - share) * pixel(first) + share * pixel(first + 1)
    return jnp.sum(seen, axis=2) / jnp.abs(along)


def _back_project(angles: Angles, y: Sinogram, *, shape: Shape) -> Image:
    """The sum over angles of the two rays that pass each pixel on either side."""
    cos, sin = _directions(angles, y.dtype)
    rows, columns = (_centred(n, y.dtype) for n in shape)
    place = columns[None, None] * cos - rows[None, :, None] * sin
    first, share = _split(place + reach(shape))
    width = jnp.maximum(jnp.abs(cos), jnp.abs(sin))[..., None]
    angle = jnp.arange(len(y))[:, None, None]

    def ray(bin: Array, distance: Array) -> Array:
        return y[angle, bin] * jnp.maximum(1 - distance / width, 0) / width

    return jnp.sum(ray(first, share) + ray(first + 1, 1 - share), axis=0)


def _split(place: Array) -> tuple[Array, Array]:
    """The whole number below, and the rest with an axis for channels."""
    first = jnp.floor(place)
    return first.astype(int), (place - first)[..., None]


def _directions(angles: Angles, dtype: Any) -> tuple[Array, Array]:
    angles = angles[:, None, None]
    return jnp.cos(angles).astype(dtype), jnp.sin(angles).astype(dtype)


def _centred(count: int, dtype: Any) -> Float[Array, " count"]:
    return (jnp.arange(count) - count // 2).astype(dtype)


def _define(primitive: Primitive, function: Callable, transpose: Primitive) -> None:
    """Tell JAX what a primitive `(angles, x) -> y`, linear in x, and its derivatives are."""

    def shaped(angles, x, *, shape: Shape):
        found = jax.eval_shape(functools.partial(function, shape=shape), angles, x)
        return x.update(shape=found.shape, dtype=found.dtype, weak_type=False)

    def in_angles(tangent: Array, angles: Array, x: Array, *, shape: Shape) -> Array:
        return jax.jvp(lambda angles: function(angles, x, shape=shape), (angles,), (tangent,))[1]

    def in_x(tangent: Array, angles: Array, x: Array, *, shape: Shape) -> Array:
        return primitive.bind(angles, tangent, shape=shape)

    def transposed(cotangent: Array, angles: Array, x: Any, *, shape: Shape) -> tuple:
        return None, transpose.bind(angles, cotangent, shape=shape)

    def batched(arguments, axes, *, shape: Shape) -> tuple[Array, int]:
        """Copies of x are further channels; with copies of the angles: one by one."""
        (angles, x), (of_angles, of_x) = arguments, axes
        if of_angles is None:
            x = jnp.moveaxis(x, of_x, 2)
            found = primitive.bind(angles, x.reshape(*x.shape[:2], -1), shape=shape)
            return found.reshape(*found.shape[:2], *x.shape[2:]), 2
        angles = jnp.moveaxis(angles, of_angles, 0)
        shared = (len(angles), *x.shape)
        x = jnp.broadcast_to(x, shared) if of_x is None else jnp.moveaxis(x, of_x, 0)
        return jax.lax.map(lambda pair: primitive.bind(*pair, shape=shape), (angles, x)), 0

    primitive.def_impl(jax.jit(primitive.bind, static_argnames="shape"))
    primitive.def_abstract_eval(shaped)
    ad.defjvp(primitive, in_angles, in_x)
    ad.primitive_transposes[primitive] = transposed
    batching.primitive_batchers[primitive] = batched
    mlir.register_lowering(primitive, mlir.lower_fun(function, multiple_results=False))


_projection = Primitive("unrolljax_projection")
_back_projection = Primitive("unrolljax_back_projection")
_define(_projection, _project, _back_projection)
_define(_back_projection, _back_project, _projection)
