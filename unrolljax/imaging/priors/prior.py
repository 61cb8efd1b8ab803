"""What every variational prior can do."""

from typing import Any

import equinox as eqx
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from unrolljax.imaging.restoration import Image


class Prior(eqx.Module):
    """A convex function `norm(K x)` of one image, K linear, the norm known by its prox."""

    def value(self, x: Image) -> Float[Array, ""]:
        """The prior's value at an image."""
        raise NotImplementedError(f"{type(self).__name__} must define value(x).")

    def transform(self, x: Image) -> Array:
        """`K x`."""
        raise NotImplementedError(f"{type(self).__name__} must define transform(x).")

    def prox(self, z: Array, step: ArrayLike) -> Array:
        """The proximal operator of `step * norm`, on K x."""
        raise NotImplementedError(f"{type(self).__name__} must define prox(z, step).")

    def image_prox(self, v: Image, step: ArrayLike) -> Image:
        """The proximal operator of `step * value`; a ValueError where it has no closed form."""
        del v, step
        raise ValueError(
            f"{type(self).__name__} has no proximal operator in closed form: use ADMM or "
            "PrimalDual, not ProximalGradient."
        )

    def argmin(self, data: Any, target: Array, penalty: ArrayLike) -> Image:
        """The minimiser of `data.value(x) + penalty / 2 |K x - target|^2`."""
        raise NotImplementedError(f"{type(self).__name__} must define argmin, which ADMM needs.")
