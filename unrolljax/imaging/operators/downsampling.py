"""A sharp image seen by a coarser camera: blur, then every s-th pixel."""

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from unrolljax.imaging.operators.blur import Blur, check_kernel
from unrolljax.imaging.operators.checks import as_array
from unrolljax.imaging.operators.operator import Image, Operator
from unrolljax.imaging.operators.spectrum import filtered, power


class Downsampling(Operator):
    """Circular blur by a kernel, then the pixels (0, s, 2 s, ...) of both axes.

    - `kernel`: (height, width) or (height, width, channels), as of `Blur`.
    - `shape`: (height, width, channels) of the sharp image; height and width are multiples of s.
    - `stride`: s.
    """

    kernel: Float[Array, "rows columns *channels"] = eqx.field(converter=as_array)
    shape: tuple[int, int, int] = eqx.field(static=True)
    stride: int = eqx.field(static=True)

    def __check_init__(self):
        check_kernel(self.kernel, self.shape, "Downsampling")
        if self.stride < 1 or self.shape[0] % self.stride or self.shape[1] % self.stride:
            raise ValueError(
                f"Downsampling(stride={self.stride}) must divide the height and the width of "
                f"images of shape {self.shape}: crop or pad them."
            )

    def apply(self, x: Image) -> Image:
        """The blurred image at every s-th pixel."""
        return self._blur().apply(x)[:: self.stride, :: self.stride]

    def norm(self, tol: float = 1e-3, max_steps: int = 1000) -> Float[Array, ""]:
        """The root of the largest eigenvalue of `A A*`, a filter on the coarse grid."""
        return jnp.sqrt(jnp.max(self._coarse_power()))

    def solve(self, rhs: Image, shift: ArrayLike) -> Image:
        """`(A* A + shift I)^-1 rhs = (rhs - A* (A A* + shift I)^-1 A rhs) / shift`.

        `A A*` is a filter on the coarse grid (Zhao et al. 2016), so that all is in closed form.
        Prefer `tikhonov`, which subtracts nothing, where rhs is an `A* y`.
        """
        return (rhs - self.tikhonov(self.apply(rhs), shift)) / jnp.asarray(shift, rhs.dtype)

    def tikhonov(self, y: Image, shift: ArrayLike) -> Image:
        """`(A* A + shift I)^-1 A* y = A* (A A* + shift I)^-1 y`."""
        total = self._coarse_power() + jnp.asarray(shift, y.dtype)
        return self.apply_adjoint(filtered(y, 1 / total))

    def _blur(self) -> Blur:
        return Blur(self.kernel, self.shape)

    def _coarse_power(self) -> Float[Array, "height half channels"]:
        """The spectrum of `A A*`: the kernel's autocorrelation at every s-th pixel."""
        total = power(self._blur().transfer())
        correlation = jnp.fft.irfft2(total, self.shape[:2], axes=(0, 1))
        return jnp.fft.rfft2(correlation[:: self.stride, :: self.stride], axes=(0, 1)).real
