"""Radial point spread functions, sampled at pixel centres and normalised to sum one."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from unrolljax.imaging.operators.checks import as_array, check_at_least, check_finite


def gaussian(size: int, sigma: ArrayLike) -> Float[Array, "size size"]:
    """`exp(-r^2 / (2 sigma^2))`, sigma in pixels; differentiable in sigma."""
    sigma = _width(sigma, "gaussian(sigma)")
    return _normalised(jnp.exp(-_squared_radius(size, "gaussian", sigma) / (2 * sigma**2)))


def moffat(size: int, fwhm: ArrayLike, beta: ArrayLike = 4.765) -> Float[Array, "size size"]:
    """`(1 + r^2 / alpha^2)^-beta`: a star seen through turbulence (Moffat 1969).

    - `fwhm`: full width at half maximum in pixels, `2 alpha sqrt(2^(1/beta) - 1)`.
    - `beta`: above 1; 4.765 is Kolmogorov turbulence (Trujillo et al. 2001).
    """
    fwhm = _width(fwhm, "moffat(fwhm)")
    beta = as_array(beta).astype(fwhm.dtype)
    check_at_least(beta, 1, "moffat(beta)", strictly=True)
    alpha = fwhm / (2 * jnp.sqrt(2 ** (1 / beta) - 1))
    return _normalised((1 + _squared_radius(size, "moffat", fwhm) / alpha**2) ** -beta)


def airy(size: int, radius: ArrayLike) -> Float[Array, "size size"]:
    """`(2 J1(u) / u)^2`: a circular aperture without aberrations (Airy 1835).

    - `radius`: of the first dark ring in pixels, where u = 3.8317.

    J1 by its integral of `cos(t - u sin t)` over [0, pi], by the midpoint rule.
    """
    radius = _width(radius, "airy(radius)")
    check_at_least(radius, 1, "airy(radius)")
    u = 3.8317059702075125 * jnp.sqrt(_squared_radius(size, "airy", radius)) / radius
    # The nodes outnumber the largest u, size / sqrt 2 * 3.84: then the sum's error is rounding.
    nodes = 6 * size + 64
    t = ((jnp.arange(nodes).astype(u.dtype) + 0.5) * (jnp.pi / nodes)).reshape(-1, 1, 1)
    bessel = jnp.mean(jnp.cos(t - u[None] * jnp.sin(t)), axis=0)
    inside = u > 0
    return _normalised(jnp.where(inside, 2 * bessel / jnp.where(inside, u, 1), 1) ** 2)


def _squared_radius(size: int, name: str, like: Array) -> Float[Array, "size size"]:
    if not isinstance(size, int) or size < 1 or size % 2 == 0:
        raise ValueError(f"{name}(size={size}) must be an odd whole number of pixels.")
    line = jnp.arange(-(size // 2), size // 2 + 1).astype(like.dtype)
    return line[:, None] ** 2 + line[None, :] ** 2


def _width(value: ArrayLike, name: str) -> Float[Array, ""]:
    value = as_array(value)
    value = value if jnp.issubdtype(value.dtype, jnp.floating) else value.astype(float)
    check_finite(value, name)
    check_at_least(value, 0, name, strictly=True)
    return value


def _normalised(kernel: Array) -> Array:
    return kernel / jnp.sum(kernel)
