"""A bound on the error of a hypergradient that is guaranteed, from declared constants."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class Constants(NamedTuple):
    """What is known of a condition `F(theta, x) = 0` at this theta, for all x, and of `outer`.

    Norms are Euclidean over all entries of theta and of x.

    - `strong_convexity`: `|F(x) - F(y)| >= strong_convexity |x - y|`: the modulus of a strongly
      convex objective whose gradient F is, or `1 - rate` for `F(x) = x - map(x)`.
    - `cross`: bound on the operator norm of `dF/dtheta`.
    - `jacobian`, `cross_lipschitz`: Lipschitz constants in x of `dF/dx` and of `dF/dtheta`.
    - `outer`: Lipschitz constant in x of the gradient of `outer(theta, x)`, each of its two parts.
    """

    strong_convexity: Float[Array, ""] | float
    cross: Float[Array, ""] | float
    jacobian: Float[Array, ""] | float
    cross_lipschitz: Float[Array, ""] | float
    outer: Float[Array, ""] | float


def error_bound(
    constants: Constants,
    residual: Float[Array, ""],
    adjoint_residual: Float[Array, ""],
    adjoint_size: Float[Array, ""],
) -> Float[Array, ""]:
    """Bound on the norm of the error of an implicit hypergradient at an inexact solution.

    With `|F(x)| = residual`, `|w - A^T u| = adjoint_residual`, `|u| = adjoint_size`: x is at most
    `d = residual / m` away from the solution, u at most
    `(adjoint_residual + (outer + jacobian |u|) d) / m` from its adjoint, and the gradient
    changes by what these change it (Ehrhardt & Roberts 2023, theorem 3.2, with every term kept).
    """
    away = residual / constants.strong_convexity
    turned = constants.outer + constants.jacobian * adjoint_size
    adjoint_away = (adjoint_residual + turned * away) / constants.strong_convexity
    direct = (constants.outer + constants.cross_lipschitz * adjoint_size) * away
    return direct + constants.cross * adjoint_away


def relative_bound(
    distance: Float[Array, ""], bound: Float[Array, ""], size: Float[Array, ""]
) -> Float[Array, ""]:
    """Bound on the relative error of a gradient at a `distance` from one of a `size` and `bound`.

    Infinite where the bound leaves open that the exact gradient is zero.
    """
    least = size - bound
    return jnp.where(least > 0, (distance + bound) / jnp.where(least > 0, least, 1), jnp.inf)
