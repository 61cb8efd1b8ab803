"""Operators made of operators: products, stacks and multiples."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from unrolljax.imaging.operators.blur import Blur
from unrolljax.imaging.operators.checks import as_array, concrete
from unrolljax.imaging.operators.conjugate_gradient import conjugate_gradient
from unrolljax.imaging.operators.operator import Image, Measured, Operator


class Compose(Operator):
    """`A x = operators[0](operators[1](... x))`: the last one given acts first.

    Each must measure images of the shape that the one before it acts on.
    """

    operators: tuple[Operator, ...]

    def __init__(self, *operators: Operator):
        _check_operators(operators, "Compose")
        for outer, inner in itertools.pairwise(operators):
            found = getattr(inner.measured(), "shape", None)
            if found != outer.shape:
                raise ValueError(
                    f"Compose: {type(outer).__name__} acts on images of shape {outer.shape}, but "
                    f"{type(inner).__name__} before it measures {found}."
                )
        self.operators = operators

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of images that the first to act takes."""
        return self.operators[-1].shape

    @property
    def complex_images(self) -> bool:
        """Whether the first to act takes complex images."""
        return self.operators[-1].complex_images

    def apply(self, x: Image) -> Measured:
        """One after the other."""
        for operator in reversed(self.operators):
            x = operator.apply(x)
        return x

    def solve(self, rhs: Image, shift: ArrayLike) -> Image:
        """`(A* A + shift I)^-1 rhs` by conjugate gradients, preconditioned by `even`."""
        even = self.even()
        if even is None:
            return super().solve(rhs, shift)
        return conjugate_gradient(
            self.shifted_gram(shift), rhs, preconditioner=lambda r: even.solve(r, shift)
        )

    def even(self) -> Blur | None:
        """For weights (or missing pixels) after a blur: the blur times their quadratic mean.

        A periodic filter near to A, for preconditioners; nothing goes back through it. None for
        any other A.
        """
        weights, last = self.operators[0].diagonal(), self.operators[-1]
        if weights is None or len(self.operators) != 2 or not isinstance(last, Blur):
            return None
        square = jnp.mean(weights.astype(last.kernel.dtype) ** 2)
        mean = jnp.sqrt(jnp.where(square > 0, square, 1))
        return Blur(jax.lax.stop_gradient(mean * last.kernel), last.shape)

    def diagonal(self) -> Image | None:
        """The product of the diagonals, where all operators are diagonal."""
        product = self.operators[0].diagonal()
        for operator in self.operators[1:]:
            diagonal = operator.diagonal()
            product = None if product is None or diagonal is None else product * diagonal
        return product


class Stack(Operator):
    """`A x = (operators[0](x), operators[1](x), ...)`: several measurements of one image, a tuple.

    All must act on images of the same shape and kind.
    """

    operators: tuple[Operator, ...]

    def __init__(self, *operators: Operator):
        _check_operators(operators, "Stack")
        kinds = [(operator.shape, operator.complex_images) for operator in operators]
        if len(set(kinds)) > 1:
            raise ValueError(
                "Stack: all operators must act on the same images; their shapes (and whether "
                f"images are complex) are {kinds}."
            )
        self.operators = operators

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of images that all take."""
        return self.operators[0].shape

    @property
    def complex_images(self) -> bool:
        """Whether all take complex images."""
        return self.operators[0].complex_images

    def apply(self, x: Image) -> Measured:
        """A tuple with what each measures."""
        return tuple(operator.apply(x) for operator in self.operators)

    def gram(self, x: Image) -> Image:
        """The sum of what each one's `A* A` makes of x."""
        return sum((operator.gram(x) for operator in self.operators), start=jnp.zeros_like(x))


class Scaled(Operator):
    """`factor * A`, for a real factor other than 0: a gain, or 1 / (the noise's deviation)."""

    operator: Operator
    factor: Float[Array, ""] = eqx.field(converter=as_array)

    def __check_init__(self):
        number = concrete(self.factor)
        if number is not None and (number.ndim or not np.isfinite(number) or number == 0):
            raise ValueError(f"Scaled(factor={number}) must be one finite number other than 0.")

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of images that A takes."""
        return self.operator.shape

    @property
    def complex_images(self) -> bool:
        """Whether A takes complex images."""
        return self.operator.complex_images

    def apply(self, x: Image) -> Measured:
        """`factor A x`."""
        return self.operator.apply(self.factor.astype(x.dtype) * x)

    def gram(self, x: Image) -> Image:
        """`factor^2 A* A x`."""
        return (self.factor**2).astype(x.dtype) * self.operator.gram(x)

    def norm(self, tol: float = 1e-3, max_steps: int = 1000) -> Float[Array, ""]:
        """`|factor|` times the norm of A."""
        value = self.operator.norm(tol, max_steps)
        return jnp.abs(jnp.asarray(self.factor, value.dtype)) * value

    def solve(self, rhs: Image, shift: ArrayLike) -> Image:
        """`(factor^2 A* A + shift I)^-1 rhs`, by A's own solve."""
        square = jnp.asarray(self.factor, rhs.real.dtype) ** 2
        shift = jnp.asarray(shift, square.dtype) / square
        return self.operator.solve(rhs / square.astype(rhs.dtype), shift)

    def diagonal(self) -> Image | None:
        """The factor times A's diagonal."""
        inner = self.operator.diagonal()
        return None if inner is None else jnp.asarray(self.factor, inner.dtype) * inner


def _check_operators(operators: tuple[Operator, ...], name: str) -> None:
    if not operators or not all(isinstance(operator, Operator) for operator in operators):
        raise ValueError(f"{name} takes one or more operators: {name}(first, second, ...).")
