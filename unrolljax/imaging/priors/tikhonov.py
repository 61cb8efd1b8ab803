"""Tikhonov's quadratic prior on differences."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from unrolljax.imaging.priors.differences import Differences, differences, least_squares
from unrolljax.imaging.priors.prior import Prior
from unrolljax.imaging.restoration import Image


class Tikhonov(Prior):
    """Half the squared (periodic) differences of neighbouring pixels; `minimiser` needs no loop."""

    def value(self, x: Image) -> Float[Array, ""]:
        """`|K x|^2 / 2`."""
        return jnp.sum(differences(x) ** 2) / 2

    def transform(self, x: Image) -> Differences:
        """The differences down and to the right, stacked in front."""
        return differences(x)

    def prox(self, z: Differences, step: ArrayLike) -> Differences:
        """`z / (1 + step)`."""
        return z / (1 + jnp.asarray(step).astype(z.dtype))

    def argmin(self, data: Any, target: Array, penalty: ArrayLike) -> Image:
        """See `least_squares`."""
        return least_squares(data, target, penalty)

    def minimiser(self, data: Any, weight: ArrayLike) -> Image:
        """The minimiser of `data.value(x) + weight * value(x)`, for a Gaussian data term."""
        like = jax.ShapeDtypeStruct(data.operator.shape, data.operator.adjoint(data.y).dtype)
        target = jax.eval_shape(differences, like)
        return least_squares(data, jnp.zeros(target.shape, target.dtype), weight)
