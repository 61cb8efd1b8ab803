"""Gaussian noise of one standard deviation."""

import equinox as eqx
import jax.numpy as jnp
from jax.tree_util import tree_leaves
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from unrolljax.core import trees
from unrolljax.imaging.data_terms.data_term import DataTerm, as_float, check_data
from unrolljax.imaging.operators.checks import as_array, check_at_least, check_finite
from unrolljax.imaging.operators.operator import Image, Measured, Operator


class Gaussian(DataTerm):
    """`|A x - y|^2 / (2 sigma^2)`, for y = A x plus white Gaussian noise.

    For a deviation of its own for each pixel, measure through `Inpainting(1 / deviation, shape)`
    and divide y by the deviation.

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
                "pixels by Compose(Inpainting(1 / sigma, shape), operator)."
            )
        check_finite(self.sigma, "Gaussian(sigma)")
        check_at_least(self.sigma, 0, "Gaussian(sigma)", strictly=True)

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
