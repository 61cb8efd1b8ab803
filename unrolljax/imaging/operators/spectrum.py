"""Filters of real images: transfer functions on the half-plane of frequencies that rfft2 keeps."""

import jax.numpy as jnp
from jaxtyping import Array, Complex, Float, Inexact


def transfer_function(
    kernel: Float[Array, "rows columns *channels"], shape: tuple[int, ...]
) -> Complex[Array, "height half_width channels"]:
    """The spectrum of a kernel whose entry (rows // 2, columns // 2) meets the pixel itself.

    Of images of `shape` (height, width, ...); a kernel for all channels gets one channel. Inside a
    loop XLA computes it once, where the kernel does not change.
    """
    rows, columns = kernel.shape[:2]
    height, width = shape[:2]
    kernel = kernel.reshape(rows, columns, -1)
    padded = jnp.pad(kernel, ((0, height - rows), (0, width - columns), (0, 0)))
    centred = jnp.roll(padded, (-(rows // 2), -(columns // 2)), (0, 1))
    return jnp.fft.rfft2(centred, axes=(0, 1))


def filtered(
    x: Float[Array, "height width channels"], transfer: Inexact[Array, "height half channels"]
) -> Float[Array, "height width channels"]:
    """The image whose spectrum is that of x times a transfer function."""
    spectrum = jnp.fft.rfft2(x, axes=(0, 1))
    return jnp.fft.irfft2(spectrum * transfer.astype(spectrum.dtype), x.shape[:2], axes=(0, 1))


def power(spectrum: Complex[Array, "..."]) -> Float[Array, "..."]:
    """Squared moduli, differentiable at zero."""
    return spectrum.real**2 + spectrum.imag**2
