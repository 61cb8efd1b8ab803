"""Total variation."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from unrolljax.imaging.priors.differences import Differences, differences, least_squares
from unrolljax.imaging.priors.prior import Prior
from unrolljax.imaging.restoration import Image
from unrolljax.prox.elementwise import l1, l1_norm
from unrolljax.prox.group import group_lasso, group_norm


class TotalVariation(Prior):
    """The sum over pixels of the length of the (periodic) differences to the next pixels.

    - `isotropic`: static; the Euclidean length (Rudin, Osher & Fatemi 1992), else the sum of the
      moduli of the two differences.

    Channels are summed. For ADMM (with a Gaussian data term) and PrimalDual; `|K|^2 <= 8`.
    """

    isotropic: bool = eqx.field(default=True, static=True)

    def value(self, x: Image) -> Float[Array, ""]:
        """The total variation."""
        steps = differences(x)
        return jnp.sum(group_norm(steps, 0)) if self.isotropic else l1_norm(steps)

    def transform(self, x: Image) -> Differences:
        """The differences down and to the right, stacked in front."""
        return differences(x)

    def prox(self, z: Differences, step: ArrayLike) -> Differences:
        """Both differences of a pixel shrunk together, or each alone."""
        step = jnp.asarray(step).astype(z.dtype)
        return group_lasso(z, step, axis=0) if self.isotropic else l1(z, step)

    def argmin(self, data: Any, target: Array, penalty: ArrayLike) -> Image:
        """See `least_squares`."""
        return least_squares(data, target, penalty)
