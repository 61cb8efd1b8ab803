"""Counts read out with electronic noise: Poisson plus Gaussian, as shifted Poisson counts."""

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from unrolljax.imaging.data_terms.data_term import DataTerm, as_float, check_data
from unrolljax.imaging.data_terms.poisson import Poisson, check_levels
from unrolljax.imaging.operators.checks import as_array, check_at_least, check_finite
from unrolljax.imaging.operators.operator import Image, Operator


class ShiftedPoisson(DataTerm):
    """Poisson-Gaussian noise, approximated: `y + sigma^2` counts of rate `peak A x + b + sigma^2`.

    y = Poisson(peak A x + background) + Normal(0, sigma^2). The shifted counts have the mean and
    the variance of Poisson counts (Snyder, Hammoud & White 1993); those still negative count as
    zero. It is the `Poisson` term of the shifted numbers.

    - `y`: electrons, the offset subtracted; may be negative.
    - `sigma`: the standard deviation of the read-out, in electrons.
    - `background`, `peak`: as of `Poisson`.
    """

    operator: Operator
    y: Float[Array, "..."] = eqx.field(converter=as_float)
    sigma: Float[Array, ""] = eqx.field(converter=as_array)
    background: Float[Array, "..."] = eqx.field(converter=as_array, default=0.0)
    peak: Float[Array, ""] = eqx.field(converter=as_array, default=1.0)

    def __check_init__(self):
        check_data(self, "ShiftedPoisson")
        check_levels(self.background, self.peak, self.y, "ShiftedPoisson")
        if jnp.ndim(self.sigma):
            raise ValueError("ShiftedPoisson(sigma) must be one number.")
        check_finite(self.sigma, "ShiftedPoisson(sigma)")
        check_at_least(self.sigma, 0, "ShiftedPoisson(sigma)", strictly=True)

    @property
    def poisson(self) -> Poisson:
        """The term of the shifted counts."""
        variance = self.sigma.astype(self.y.dtype) ** 2
        counts = jnp.maximum(self.y + variance, 0)
        background = self.background.astype(self.y.dtype) + variance
        return Poisson(self.operator, counts, background, self.peak)

    def value(self, x: Image) -> Float[Array, ""]:
        """The divergence of the shifted counts from their rates."""
        return self.poisson.value(x)

    def gradient(self, x: Image) -> Image:
        """That of the shifted counts."""
        return self.poisson.gradient(x)

    def prox(self, v: Image, step: ArrayLike) -> Image:
        """That of the shifted counts: for diagonal operators."""
        return self.poisson.prox(v, step)

    def start(self) -> Image:
        """That of the shifted counts."""
        return self.poisson.start()

    def lipschitz(self) -> Float[Array, ""]:
        """That of the shifted counts, which have a background."""
        return self.poisson.lipschitz()

    def mirror_step(self, x: Image) -> Image:
        """Richardson-Lucy's step on the shifted counts."""
        return self.poisson.mirror_step(x)
