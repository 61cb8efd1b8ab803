"""Blur by a point spread function that changes over the image."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from unrolljax.imaging.operators.blur import check_kernel
from unrolljax.imaging.operators.checks import as_array, check_finite
from unrolljax.imaging.operators.operator import Image, Operator
from unrolljax.imaging.operators.spectrum import filtered, transfer_function


class SpaceVariantBlur(Operator):
    """`A x = sum_k kernels[k] * (weights[k] x)`: each pixel spreads by interpolated kernels.

    Product-convolution (Nagy & O'Leary 1998), periodic. A pixel's own point spread function is
    `sum_k weights[k, pixel] kernels[k]`.

    - `kernels`: (count, rows, columns).
    - `weights`: (count, height, width); they sum to one at each pixel where brightness is kept.
    - `shape`: (height, width, channels) of the image.
    """

    kernels: Float[Array, "count rows columns"] = eqx.field(converter=as_array)
    weights: Float[Array, "count height width"] = eqx.field(converter=as_array)
    shape: tuple[int, int, int] = eqx.field(static=True)

    def __check_init__(self):
        extent = jnp.shape(self.kernels)
        if len(extent) != 3 or jnp.shape(self.weights) != (extent[0], *self.shape[:2]):
            raise ValueError(
                f"SpaceVariantBlur(kernels, weights) of shapes {extent} and "
                f"{jnp.shape(self.weights)} must be (count, rows, columns) and (count, "
                f"{self.shape[0]}, {self.shape[1]})."
            )
        check_kernel(self.kernels[0], self.shape, "SpaceVariantBlur")
        check_finite(self.kernels, "SpaceVariantBlur(kernels)")
        check_finite(self.weights, "SpaceVariantBlur(weights)")

    def apply(self, x: Image) -> Image:
        """The sum of the blurred parts."""
        parts = self.weights[..., None].astype(x.dtype) * x[None]
        transfers = jax.vmap(lambda kernel: transfer_function(kernel, self.shape))(self.kernels)
        return jnp.sum(jax.vmap(filtered)(parts, transfers), axis=0)
