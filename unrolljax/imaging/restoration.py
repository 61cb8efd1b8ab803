"""The problem of restoring one image: how well it explains the data, and what is known of it."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from unrolljax.solvers.kkt import KKT

Image = Float[Array, "height width channels"]


class Restoration(eqx.Module):
    """Minimise `data.value(x) + weight * prior.value(x)`, or replace the prior by a denoiser.

    - `data`: a data term: `operator`, `y`, `value(x)`, `gradient(x)`, and where it has one
      `prox(v, step)`; a negative log-likelihood up to a constant.
    - `prior`: a `Prior`, which the core's `ADMM`, `PrimalDual` and `ProximalGradient` minimise; a
      denoiser `(x, sigma) -> x` or `PerLayer` denoisers for the plug-and-play solvers; or None.
    - `weight`: of the prior, at least 0; plug-and-play solvers have a sigma instead, except RED.
    """

    data: Any
    prior: Any = None
    weight: Float[Array, ""] | float = 1.0

    def __check_init__(self):
        weight = self.weight
        if not isinstance(weight, Tracer) and (np.ndim(weight) or not 0 <= float(weight) < np.inf):
            raise ValueError(f"Restoration(weight={weight}) must be one finite number, at least 0.")

    def smooth(self, x: Image) -> Float[Array, ""]:
        """The data term."""
        return self.data.value(x)

    def penalty(self, x: Image) -> Float[Array, ""]:
        """The weighted prior."""
        return self._weight(x) * self.prior.value(x)

    def objective(self, x: Image | KKT) -> Float[Array, ""] | None:
        """Data term plus weighted prior; None where the prior is a denoiser, which has no value.

        A multiplier beside the image is left aside.
        """
        x = x.primal if isinstance(x, KKT) else x
        if self.prior is None:
            return self.smooth(x)
        return self.smooth(x) + self.penalty(x) if hasattr(self.prior, "value") else None

    def prox(self, v: Image, step: ArrayLike) -> Image:
        """The proximal operator of `step * penalty`; a ValueError where it has no closed form."""
        return self.prior.image_prox(v, step * self._weight(v))

    def linear(self, x: Image) -> Array:
        """The prior's transform, K x."""
        return self.prior.transform(x)

    def prox_f(self, v: Image, step: ArrayLike) -> Image:
        """The identity: what is neither smooth nor the prior is absent."""
        del step
        return v

    def prox_g(self, v: Array, step: ArrayLike) -> Array:
        """The proximal operator of `step * weight` times the prior's norm, on K x."""
        return self.prior.prox(v, step * self._weight(v))

    def argmin(self, target: Array, penalty: ArrayLike) -> Image:
        """The minimiser of `data.value(x) + penalty / 2 |K x - target|^2`, by the prior."""
        return self.prior.argmin(self.data, target, penalty)

    def _weight(self, like: Array) -> Float[Array, ""]:
        return jnp.asarray(self.weight).astype(like.dtype)
