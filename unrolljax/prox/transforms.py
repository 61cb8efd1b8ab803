"""New proximal operators from given ones.

Here a proximal operator is a function `prox(v, step)` = argmin_x 1/2 ||x - v||^2 + step * f(x):
`l1` as it is, or with its weight, `lambda v, step: l1(v, step * weight)`.
Rules: Parikh and Boyd, "Proximal algorithms" (2014), sections 2.1, 2.2 and 2.5.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.typing import ArrayLike
from jaxtyping import Array, PyTree

Prox = Callable[[Any, ArrayLike], Any]


def moreau_conjugate(prox: Prox) -> Prox:
    """The proximal operator of the convex conjugate f*, by Moreau's identity; needs step > 0."""

    def conjugate_prox(v: Array, step: ArrayLike) -> Array:
        return v - step * prox(v / step, 1 / step)

    return conjugate_prox


def translated(prox: Prox, shift: ArrayLike) -> Prox:
    """The proximal operator of x -> f(x - shift)."""

    def translated_prox(v: Array, step: ArrayLike) -> Array:
        return shift + prox(v - shift, step)

    return translated_prox


def scaled(prox: Prox, factor: ArrayLike) -> Prox:
    """The proximal operator of x -> f(factor * x), for a scalar factor that is not zero."""

    def scaled_prox(v: Array, step: ArrayLike) -> Array:
        return prox(factor * v, factor * factor * step) / factor

    return scaled_prox


def separable(proxes: PyTree[Prox]) -> Prox:
    """The proximal operator of a sum of penalties, one on each leaf of a pytree.

    `proxes` has the structure of v or of its upper part: an operator in place of a subtree acts
    on every leaf below it, and a single operator on every leaf of v.
    """

    def separable_prox(v: PyTree[Array], step: ArrayLike) -> PyTree[Array]:
        def on_every_leaf(prox: Prox, part: PyTree[Array]) -> PyTree[Array]:
            return jax.tree.map(lambda leaf: prox(leaf, step), part)

        return jax.tree.map(on_every_leaf, proxes, v, is_leaf=callable)

    return separable_prox


def from_projection(projection: Callable[..., Any], *parameters: Any) -> Prox:
    """The proximal operator of a set's indicator function: `projection(v, *parameters)`."""

    def projection_prox(v: Array, step: ArrayLike) -> Array:
        del step  # a set's indicator is the same at every scale
        return projection(v, *parameters)

    return projection_prox
