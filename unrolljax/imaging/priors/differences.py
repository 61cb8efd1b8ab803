"""Differences of neighbouring pixels, periodic, and least squares in them."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from unrolljax.imaging.data_terms.gaussian import Gaussian
from unrolljax.imaging.operators.blur import Blur
from unrolljax.imaging.operators.compose import Compose
from unrolljax.imaging.operators.conjugate_gradient import conjugate_gradient
from unrolljax.imaging.operators.identity import Identity
from unrolljax.imaging.operators.operator import Operator
from unrolljax.imaging.operators.spectrum import filtered, power
from unrolljax.imaging.restoration import Image

Differences = Float[Array, "2 height width channels"]


def differences(x: Image) -> Differences:
    """`x[i + 1, j] - x[i, j]` and `x[i, j + 1] - x[i, j]`, the last pixel followed by the first."""
    return jnp.stack([jnp.roll(x, -1, 0) - x, jnp.roll(x, -1, 1) - x])


def differences_adjoint(d: Differences) -> Image:
    """The transpose of `differences`."""
    return jnp.roll(d[0], 1, 0) - d[0] + jnp.roll(d[1], 1, 1) - d[1]


def least_squares(data: Any, target: Differences, penalty: ArrayLike) -> Image:
    """The minimiser of `data.value(x) + penalty / 2 |differences(x) - target|^2`.

    For a `Gaussian` data term: a division in Fourier space where the operator is a `Blur` or the
    `Identity` (Wang et al. 2008), conjugate gradients for any other, preconditioned by such a
    division where weights follow a blur. Raises a ValueError for other data terms.
    """
    if not isinstance(data, Gaussian):
        raise ValueError(
            f"ADMM with differences needs a Gaussian data term, not {type(data).__name__}: use the "
            "PrimalDual solver."
        )
    variance = data.sigma.astype(jnp.finfo(target.dtype).dtype) ** 2
    share = variance * jnp.asarray(penalty).astype(variance.dtype)
    rhs = share.astype(target.dtype) * differences_adjoint(target)
    if not isinstance(data.operator, Blur | Identity):
        return _by_iteration(data, rhs, share)
    spectrum = _spectrum(data.operator, rhs.dtype)
    total = _total(spectrum, share, rhs)
    measured = jnp.conj(spectrum) * jnp.fft.rfft2(data.y, axes=(0, 1))
    image = (jnp.fft.rfft2(rhs, axes=(0, 1)) + measured) * (1 / total).astype(measured.dtype)
    return jnp.fft.irfft2(image, rhs.shape[:2], axes=(0, 1))


def _by_iteration(data: Gaussian, rhs: Image, share: Array) -> Image:
    def normal(x: Image) -> Image:
        smooth = share.astype(x.dtype) * differences_adjoint(differences(x))
        return data.operator.gram(x) + smooth

    rhs = rhs + data.operator.adjoint(data.y)
    return conjugate_gradient(normal, rhs, preconditioner=_division(data.operator, share))


def _division(operator: Operator, share: Array) -> Callable[[Image], Image] | None:
    """By a periodic filter near to the normal equations, where there is one."""
    even = operator.even() if isinstance(operator, Compose) else None
    if even is None:
        return None
    spectrum, fixed = even.transfer(), jax.lax.stop_gradient(share)
    return lambda r: filtered(r, 1 / _total(spectrum, fixed, r))


def _total(spectrum: Array, share: Array, like: Image) -> Float[Array, "height half_width *n"]:
    """The eigenvalues of `A* A + share K* K` for a periodic filter A and the differences K."""
    return power(spectrum) + share * _laplacian(like.shape, share.dtype)


def _spectrum(operator: Blur | Identity, dtype: Any) -> Array:
    if isinstance(operator, Blur):
        return operator.transfer()
    return jnp.ones((1, 1, 1), dtype).astype(
        jnp.complex128 if jnp.finfo(dtype).bits == 64 else jnp.complex64
    )


def _laplacian(shape: tuple[int, ...], dtype: Any) -> Float[Array, "height half_width 1"]:
    """The eigenvalues of `differences_adjoint(differences(x))` at the frequencies of `rfft2`."""
    height, width = shape[:2]
    rows = 2 * math.pi / height * jnp.arange(height, dtype=dtype)
    columns = 2 * math.pi / width * jnp.arange(width // 2 + 1, dtype=dtype)
    return (2 - 2 * jnp.cos(rows))[:, None, None] + (2 - 2 * jnp.cos(columns))[None, :, None]
