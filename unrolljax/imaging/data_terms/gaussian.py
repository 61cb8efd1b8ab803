"""Gaussian noise of one standard deviation."""

import equinox as eqx
import jax.numpy as jnp
from jax.tree_util import tree_leaves
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from unrolljax.core import trees
from unrolljax.imaging.data_terms.data_term import DataTerm, as_float, check_data
from unrolljax.imaging.operators.checks import as_array, check_at_least, check_finite
from unrolljax.imaging.operators.compose import Compose
from unrolljax.imaging.operators.inpainting import Inpainting
from unrolljax.imaging.operators.operator import Image, Measured, Operator


class Gaussian(DataTerm):
    """`|A x - y|^2 / (2 sigma^2)`, for y = A x plus white Gaussian noise.

    `Gaussian.weighted` for a deviation of its own for each pixel.

    - `sigma`: the noise's standard deviation, in the units of y; of real and imaginary part each
      where y is complex.
    """

    operator: Operator
    y: Measured = eqx.field(converter=as_float)
    sigma: Float[Array, ""] = eqx.field(converter=as_array)

    def __check_init__(self):
        check_data(self, "Gaussian")
        if jnp.ndim(self.sigma):
            raise ValueError(
                f"Gaussian(sigma) of shape {jnp.shape(self.sigma)} must be one number; weigh "
                "pixels by Gaussian.weighted(operator, y, deviation)."
            )
        check_finite(self.sigma, "Gaussian(sigma)")
        check_at_least(self.sigma, 0, "Gaussian(sigma)", strictly=True)

    @classmethod
    def weighted(cls, operator: Operator, y: ArrayLike, deviation: ArrayLike) -> "Gaussian":
        """`sum (A x - y)^2 / (2 deviation^2)`, for an operator that measures an image.

        - `deviation`: the noise's, positive, of y's shape; infinite where nothing was measured,
          whatever y is there. Of photon counts, the root of their expectation.
        """
        measured, deviation = jnp.asarray(as_float(y)), as_array(deviation)
        if deviation.shape != measured.shape:
            raise ValueError(
                f"Gaussian.weighted(deviation) has shape {deviation.shape}, y {measured.shape}."
            )
        check_at_least(deviation, 0, "Gaussian.weighted(deviation)", strictly=True)
        weights = (1 / deviation).astype(measured.dtype)
        mask = Inpainting(weights, measured.shape)  # pyright: ignore
        seen = jnp.where(weights > 0, measured, 0) * weights
        return cls(Compose(mask, operator), seen, jnp.ones((), measured.dtype))

    def value(self, x: Image) -> Float[Array, ""]:
        """`|A x - y|^2 / (2 sigma^2)`."""
        residual = self._residual(x)
        return trees.real_dot(residual, residual) / (2 * self._variance())

    def gradient(self, x: Image) -> Image:
        """`A* (A x - y) / sigma^2`."""
        return self.operator.apply_adjoint(self._residual(x)) / self._variance().astype(x.dtype)

    def prox(self, v: Image, step: ArrayLike) -> Image:
        """`(A* A + c I)^-1 (A* y + c v)` with c = sigma^2 / step, by the operator's `solve`."""
        shift = self._variance() / jnp.asarray(step, self._variance().dtype)
        target = self.operator.apply_adjoint(self.y) + shift.astype(v.dtype) * v
        return self.operator.solve(target, shift)

    def lipschitz(self) -> Float[Array, ""]:
        """`|A|^2 / sigma^2`."""
        return self.operator.norm().astype(self._variance().dtype) ** 2 / self._variance()

    def _residual(self, x: Image) -> Measured:
        return trees.subtract(self.operator(x), self.y)

    def _variance(self) -> Float[Array, ""]:
        """sigma^2 in the precision of y."""
        return self.sigma.astype(jnp.finfo(tree_leaves(self.y)[0].dtype).dtype) ** 2
