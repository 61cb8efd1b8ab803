"""Fourier coefficients at any frequencies: what the baselines of an interferometer measure."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from unrolljax.imaging.operators.checks import as_array, check_finite, check_image_shape
from unrolljax.imaging.operators.operator import Image, Operator


class NonuniformFourier(Operator):
    """Visibilities `V_k = sum_rc x[r, c] exp(-2 pi i (v_k r' + u_k c'))` of a real image.

    r' = r - height // 2 and c' = c - width // 2 count from the middle pixel. The direct sum, exact
    to rounding: two products of matrices, of cost baselines x height x width.

    - `baselines`: (count, 2), u (columns) and v (rows) in cycles per pixel: wavelengths times the
      pixel's angle in radians.
    - `shape`: (height, width, channels) of the image.
    """

    baselines: Float[Array, "count 2"] = eqx.field(converter=as_array)
    shape: tuple[int, int, int] = eqx.field(static=True)

    def __check_init__(self):
        check_image_shape(self.shape, "NonuniformFourier")
        extent = jnp.shape(self.baselines)
        if len(extent) != 2 or extent[1] != 2:
            raise ValueError(
                f"NonuniformFourier(baselines) of shape {extent} must be (count, 2), cycles per "
                "pixel along columns and rows."
            )
        check_finite(self.baselines, "NonuniformFourier(baselines)")

    def apply(self, x: Image) -> Complex[Array, "count channels"]:
        """The visibility of each baseline and channel."""
        along_rows = self._waves(1, self.shape[0])
        along_columns = self._waves(0, self.shape[1])
        summed = jnp.einsum("kr,rcn->kcn", along_rows, x.astype(along_rows.dtype))
        return jnp.einsum("kc,kcn->kn", along_columns, summed)

    def _waves(self, axis: int, extent: int) -> Complex[Array, "count extent"]:
        line = (jnp.arange(extent) - extent // 2).astype(self.baselines.dtype)
        angle = -2 * jnp.pi * self.baselines[:, axis, None] * line[None]
        return jax.lax.complex(jnp.cos(angle), jnp.sin(angle))
