"""Convolution of images whose derivatives are convolutions too, in the layout that XLA runs fast.

XLA on the CPU has a fast kernel for one layout only (images NHWC, kernels HWIO). Stock gradients
use others, which XLA rewrites everywhere but inside loops: a gradient inside a scan is 10 to 20
times too slow (jax-ml/jax#12868). `convolve` is a primitive of its own: bilinear, so that JAX has
forward mode, reverse mode and all higher derivatives, and closed, since either transpose is the
same primitive on permuted arrays. Under vmap it stays an ordinary convolution as long as one of
its arguments is shared.
"""

from typing import Literal

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float

Border = Literal["zero", "periodic"]
Padding = tuple[tuple[int, int], tuple[int, int]]
_NONE: Padding = ((0, 0), (0, 0))

# Results of at most so many rows and columns are derivatives in kernels, which on the CPU are two
# to seven times faster as one matrix product over all pixels.
_SMALL = 7


def convolve(
    x: Float[Array, "batch height width inputs"],
    kernel: Float[Array, "rows columns inputs outputs"],
    border: Border = "zero",
) -> Float[Array, "batch height width outputs"]:
    """Cross-correlation of images with a kernel of odd size, stride 1, the size of the images kept.

    What networks call a convolution: `y[h, w] = sum_ij x[h + i - r, w + j - r] @ kernel[i, j]`.

    - `border`: outside of an image are zeros, or the image again ("periodic").

    Differentiable to any order and in both modes; float32 and float64.
    """
    _check(x, kernel, border)
    rows, columns = kernel.shape[0] // 2, kernel.shape[1] // 2
    if border == "zero":
        return _bind(x, kernel, ((rows, rows), (columns, columns)))
    wrapped = jnp.pad(x, ((0, 0), (rows, rows), (columns, columns), (0, 0)), mode="wrap")
    return _bind(wrapped, kernel, _NONE)


def convolve_by_products(
    x: Float[Array, "batch height width inputs"],
    kernel: Float[Array, "rows columns inputs outputs"],
    border: Border = "zero",
) -> Float[Array, "batch height width outputs"]:
    """`convolve` as a sum of matrix products of shifted images, in JAX's own operations only.

    About three times slower; for transformations that know no primitive but JAX's.
    """
    _check(x, kernel, border)
    rows, columns, _, outputs = kernel.shape
    batch, height, width, _ = x.shape
    edges = ((0, 0), (rows // 2,) * 2, (columns // 2,) * 2, (0, 0))
    padded = jnp.pad(x, edges, mode="wrap" if border == "periodic" else "constant")
    total = jnp.zeros((batch, height, width, outputs), x.dtype)
    for i in range(rows):
        for j in range(columns):
            shifted = padded[:, i : i + height, j : j + width]
            total += jnp.tensordot(shifted, kernel[i, j], 1)
    return total


def _check(x: Array, kernel: Array, border: str) -> None:
    if x.ndim != 4 or kernel.ndim != 4:
        raise ValueError(
            f"x must be (batch, height, width, channels) and kernel (rows, columns, inputs, "
            f"outputs); their shapes are {x.shape} and {kernel.shape}."
        )
    if x.shape[3] != kernel.shape[2]:
        raise ValueError(f"x has {x.shape[3]} channels; kernel takes {kernel.shape[2]}.")
    if x.dtype != kernel.dtype:
        raise ValueError(f"x is {x.dtype}, kernel {kernel.dtype}: they must have one dtype.")
    if kernel.shape[0] % 2 == 0 or kernel.shape[1] % 2 == 0:
        raise ValueError(f"kernel must have an odd size; it has {kernel.shape[:2]}.")
    if border not in ("zero", "periodic"):
        raise ValueError(f"border must be 'zero' or 'periodic'; it is {border!r}.")
    if border == "periodic" and (
        kernel.shape[0] // 2 > x.shape[1] or kernel.shape[1] // 2 > x.shape[2]
    ):
        raise ValueError(f"kernel {kernel.shape[:2]} is too large for images of {x.shape[1:3]}.")


def _stock(x: Array, kernel: Array, *, padding: Padding) -> Array:
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _on_cpu(x: Array, kernel: Array, *, padding: Padding) -> Array:
    """The same; where the result is a kernel and the kernel a batch of cotangents, a product."""
    rows, columns = (
        n + sum(more) - k + 1
        for n, more, k in zip(x.shape[1:3], padding, kernel.shape[:2], strict=True)
    )
    if max(rows, columns) > min(_SMALL, *kernel.shape[:2]):
        return _stock(x, kernel, padding=padding)
    return _as_product(x, kernel, (rows, columns), padding)


def _as_product(x: Array, kernel: Array, size: tuple[int, int], padding: Padding) -> Array:
    """One matrix product over all pixels: columns are shifted in x, rows in the kernel."""
    (rows, columns), ((top, bottom), side) = size, padding
    (inputs, height), (width, outputs) = x.shape[:2], (kernel.shape[1], kernel.shape[3])
    zero = jnp.zeros((), x.dtype)
    still, more = (0, 0, 0), (rows - 1 - top, rows - 1 - bottom, 0)
    images = jax.lax.pad(x.transpose(3, 1, 2, 0), zero, (still, still, (*side, 0), still))
    others = jax.lax.pad(kernel.transpose(2, 0, 1, 3), zero, (still, more, still, still))
    # What made them would be fused into every shift, and computed as often.
    images, others = jax.lax.optimization_barrier((images, others))
    left = [images[:, :, k : k + width] for k in range(columns)]
    right = [others[:, rows - 1 - k : rows - 1 - k + height] for k in range(rows)]
    left, right = (jnp.concatenate(v, 3).reshape(-1, len(v) * v[0].shape[3]) for v in (left, right))
    product = jax.lax.dot_general(left, right, (((0,), (0,)), ((), ())))
    return product.reshape(columns, inputs, rows, outputs).transpose(1, 2, 0, 3)


def _bind(x: Array, kernel: Array, padding: Padding) -> Array:
    return _convolution.bind(x, kernel, padding=padding)


def _shape(x, kernel, *, padding: Padding):
    found = jax.eval_shape(lambda x, kernel: _stock(x, kernel, padding=padding), x, kernel)
    return x.update(shape=found.shape, dtype=found.dtype, weak_type=False)


def _to_images(g: Array, x, kernel: Array, *, padding: Padding) -> Array:
    """The transpose in the images: a convolution with the mirrored kernel, channels swapped."""
    del x
    mirrored = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
    return _bind(g, mirrored, _outside(kernel.shape[:2], padding))


def _to_kernel(g: Array, x: Array, kernel, *, padding: Padding) -> Array:
    """The transpose in the kernel: batch and channels exchanged; the smaller side is the batch."""
    sizes, inputs, outputs = kernel.aval.shape[:2], x.shape[3], g.shape[3]
    if outputs >= inputs:
        found = _bind(x.transpose(3, 1, 2, 0), g.transpose(1, 2, 0, 3), padding)
        return found.transpose(1, 2, 0, 3)
    outside = _outside(sizes, padding)
    mirrored = _bind(g.transpose(3, 1, 2, 0), x.transpose(1, 2, 0, 3), outside)
    return jnp.flip(mirrored, (1, 2)).transpose(1, 2, 3, 0)


def _outside(sizes: tuple[int, ...], padding: Padding) -> Padding:
    """The padding of the transpose."""
    (top, bottom), (left, right) = padding
    rows, columns = (n - 1 for n in sizes)
    return (rows - top, rows - bottom), (columns - left, columns - right)


def _batched(arguments, axes, *, padding: Padding):
    """Copies of the images join the batch, copies of the kernel its outputs; both: one by one."""
    (x, kernel), (of_x, of_kernel) = arguments, axes
    if of_kernel is None:
        x = jnp.moveaxis(x, of_x, 0)
        found = _bind(x.reshape(-1, *x.shape[2:]), kernel, padding)
        return found.reshape(*x.shape[:2], *found.shape[1:]), 0
    if of_x is None:
        kernel = jnp.moveaxis(kernel, of_kernel, 3)
        found = _bind(x, kernel.reshape(*kernel.shape[:3], -1), padding)
        return found.reshape(*found.shape[:3], *kernel.shape[3:]), 3
    pairs = (jnp.moveaxis(x, of_x, 0), jnp.moveaxis(kernel, of_kernel, 0))
    return jax.lax.map(lambda pair: _bind(pair[0], pair[1], padding), pairs), 0


_convolution = Primitive("unrolljax_convolution")
_convolution.def_impl(jax.jit(_convolution.bind, static_argnames="padding"))
_convolution.def_abstract_eval(_shape)
ad.defbilinear(_convolution, _to_images, _to_kernel)
batching.primitive_batchers[_convolution] = _batched
mlir.register_lowering(_convolution, mlir.lower_fun(_stock, multiple_results=False))
mlir.register_lowering(
    _convolution, mlir.lower_fun(_on_cpu, multiple_results=False), platform="cpu"
)
