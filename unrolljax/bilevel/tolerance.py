"""Schedules: numbers that fall with the outer step (tolerances, step sizes)."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

Schedule = Callable[[Int[Array, ""]], Array]
"""From the outer step, counted from zero, to a number."""


class Geometric(eqx.Module):
    """`max(first * ratio ** step, last)`; all three are array leaves.

    With a ratio below one the numbers are summable, as convergence of inexact gradient descent
    asks of tolerances (Pedregosa 2016, theorem 2). Near a solution that the outer iteration
    approaches at a linear rate, that rate is a natural ratio.
    """

    first: float | Array
    ratio: float | Array
    last: float | Array = 0.0

    def __call__(self, step: Int[Array, ""]) -> Float[Array, ""]:
        """The number of a step."""
        first = jnp.asarray(self.first)
        powers = jnp.asarray(self.ratio).astype(first.dtype) ** step.astype(first.dtype)
        return jnp.maximum(first * powers, jnp.asarray(self.last).astype(first.dtype))


class Polynomial(eqx.Module):
    """`max(first / (step + 1) ** power, last)`; all three are array leaves.

    Tolerances are summable for powers above one; HOAG's are `0.1 / k ** 2` and `0.1 / k ** 3`
    (Pedregosa 2016, section 4). Step sizes of SOBA fall with the powers 2/5 and 3/5 (Dagréou et
    al. 2022, theorem 1).
    """

    first: float | Array
    power: float | Array
    last: float | Array = 0.0

    def __call__(self, step: Int[Array, ""]) -> Float[Array, ""]:
        """The number of a step."""
        first = jnp.asarray(self.first)
        powers = (step + 1).astype(first.dtype) ** jnp.asarray(self.power).astype(first.dtype)
        return jnp.maximum(first / powers, jnp.asarray(self.last).astype(first.dtype))
