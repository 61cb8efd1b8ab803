"""What every data term can do, and how what was measured is checked."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax.tree_util import tree_map
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PyTree

from unrolljax.core import trees
from unrolljax.imaging.operators.checks import check_finite, check_measured
from unrolljax.imaging.operators.operator import Image, Measured, Operator

MISSING = (
    "Set them to 0 and measure through Compose(Inpainting(mask, shape), operator), whose mask is "
    "0 there."
)


class DataTerm(eqx.Module):
    """A negative log-likelihood of one image, up to a constant; all arrays may be differentiated.

    - `operator`: what measures the image.
    - `y`: what was measured, of the structure and shapes of `operator(x)`.
    """

    operator: eqx.AbstractVar[Operator]
    y: eqx.AbstractVar[Measured]

    def value(self, x: Image) -> Float[Array, ""]:
        """The negative log-likelihood of an image."""
        raise NotImplementedError(f"{type(self).__name__} must define value(x).")

    def gradient(self, x: Image) -> Image:
        """The gradient of `value`."""
        return trees.gradient(self.value, x)

    def prox(self, v: Image, step: ArrayLike) -> Image:
        """`argmin_x step * value(x) + |x - v|^2 / 2`; a ValueError where none is in reach."""
        raise ValueError(f"{type(self).__name__} has no proximal operator: use its gradient.")

    def start(self) -> Image:
        """Where a restoration starts by default: the multiple of `A* y` that explains y best."""
        return back_projected(self.operator, self.y)

    def lipschitz(self) -> Float[Array, ""]:
        """A Lipschitz constant of the gradient; infinite where there is none."""
        raise NotImplementedError(f"{type(self).__name__} must define lipschitz().")


def back_projected(operator: Operator, y: Measured) -> Image:
    """The multiple of `A* y` with the least `|A x - y|`, whatever the units of A are."""
    image = operator.adjoint(y)
    seen = operator.apply(image)
    square = trees.real_dot(seen, seen)
    factor = trees.real_dot(image, image) / jnp.where(square > 0, square, 1)
    return trees.scale(factor, image)


def as_float(tree: PyTree[ArrayLike]) -> PyTree[Array]:
    """Numbers as JAX arrays, whole ones (counts) as floats."""

    def convert(leaf: Any) -> Array:
        leaf = jnp.asarray(leaf)
        return leaf if jnp.issubdtype(leaf.dtype, jnp.inexact) else leaf.astype(float)

    return tree_map(convert, tree)


def check_data(data: DataTerm, name: str) -> None:
    """Raise unless y is finite and what the operator measures."""
    if not isinstance(data.operator, Operator):
        raise ValueError(f"{name}(operator) must be an Operator, got {type(data.operator)}.")
    check_measured(data.y, data.operator.measured(), name)
    check_finite(data.y, f"{name}(y)", MISSING)
