"""Robust losses: how much a large residual counts.

With the scale C and z = (r / C)^2 a residual r costs `C^2 rho(z) / 2`; near zero every loss is the
square (rho(z) = z), so C is the residual beyond which a point is doubted. Definitions and names as
in scipy.optimize.least_squares; Triggs et al., "Bundle adjustment: a modern synthesis", 2000.
"""

import abc
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float


class Rho(NamedTuple):
    """A loss and its first two derivatives at z, each of the shape of z."""

    value: Float[Array, " m"]
    slope: Float[Array, " m"]
    curvature: Float[Array, " m"]


class Loss(eqx.Module):
    """A function rho of squared scaled residuals; changing `scale` compiles nothing."""

    scale: float | Array = 1.0

    @abc.abstractmethod
    def rho(self, z: Float[Array, " m"]) -> Rho:
        """The loss of z = (residual / scale)^2 with its derivatives."""


class Linear(Loss):
    """rho(z) = z: ordinary least squares, whatever the scale."""

    def rho(self, z: Float[Array, " m"]) -> Rho:
        """The argument itself."""
        return Rho(z, jnp.ones_like(z), jnp.zeros_like(z))


class Huber(Loss):
    """rho(z) = z up to 1, then 2 sqrt(z) - 1: squares within the scale, absolute values beyond."""

    def rho(self, z: Float[Array, " m"]) -> Rho:
        """Huber 1964."""
        root = jnp.sqrt(jnp.maximum(z, 1))
        inside = z <= 1
        return Rho(
            jnp.where(inside, z, 2 * root - 1),
            1 / root,
            jnp.where(inside, 0, -0.5 / root**3),
        )


class SoftL1(Loss):
    """rho(z) = 2 (sqrt(1 + z) - 1): a smooth Huber loss."""

    def rho(self, z: Float[Array, " m"]) -> Rho:
        """Charbonnier et al. 1994."""
        root = jnp.sqrt(1 + z)
        return Rho(2 * z / (root + 1), 1 / root, -0.5 / root**3)


class Cauchy(Loss):
    """rho(z) = log(1 + z): outliers weigh less the farther they lie; may have several minima."""

    def rho(self, z: Float[Array, " m"]) -> Rho:
        """The negative log-likelihood of Cauchy noise, but for a factor."""
        return Rho(jnp.log1p(z), 1 / (1 + z), -1 / (1 + z) ** 2)
