"""Conjugate gradients for positive definite systems of images, differentiable by their theorem."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Inexact, Int

Vector = Inexact[Array, "..."]


class Search(NamedTuple):
    """The iterate, its residual and direction, the squared residual and the steps taken."""

    x: Vector
    residual: Vector
    direction: Vector
    product: Float[Array, ""]
    steps: Int[Array, ""]


def conjugate_gradient(
    matvec: Callable[[Vector], Vector],
    rhs: Vector,
    *,
    preconditioner: Callable[[Vector], Vector] | None = None,
    tol: float | None = None,
    max_steps: int = 500,
) -> Vector:
    """The x with `matvec(x) = rhs`, for a symmetric (Hermitian) positive definite matvec.

    Hestenes & Stiefel (1952). Derivatives of any order, forward and reverse, with respect to rhs
    and all arrays that `matvec` closes over, are further solves of the same kind.

    - `preconditioner`: approximates the inverse; symmetric positive definite.
    - `tol`: relative residual (in the norm of the preconditioner) at which to stop; by default
      1e-6 in float32, 1e-10 in float64.
    - `max_steps`: where it was not reached in these, the result is NaN.
    """
    if tol is None:
        tol = 1e-10 if jnp.finfo(rhs.dtype).bits == 64 else 1e-6

    precondition = preconditioner or _identity

    def search(matvec, rhs, precondition=precondition):
        x, converged = _search(matvec, rhs, precondition, tol, max_steps)
        return jnp.where(converged, x, jnp.nan)

    def transposed_search(vecmat, rhs):
        return search(vecmat, rhs, lambda r: jnp.conj(precondition(jnp.conj(r))))

    # The transpose of a Hermitian system is its complex conjugate, not the system itself.
    real = not jnp.iscomplexobj(rhs)
    return jax.lax.custom_linear_solve(
        matvec, rhs, search, None if real else transposed_search, symmetric=real
    )


def _identity(x: Vector) -> Vector:
    return x


def _search(
    matvec: Callable[[Vector], Vector],
    rhs: Vector,
    precondition: Callable[[Vector], Vector],
    tol: float,
    max_steps: int,
) -> tuple[Vector, Bool[Array, ""]]:
    """The last iterate and whether its residual is small."""

    def step(search: Search) -> Search:
        image = matvec(search.direction)
        length = (search.product / _dot(search.direction, image)).astype(rhs.dtype)
        residual = search.residual - length * image
        conditioned = precondition(residual)
        product = _dot(residual, conditioned)
        turn = (product / search.product).astype(rhs.dtype)
        direction = conditioned + turn * search.direction
        x = search.x + length * search.direction
        return Search(x, residual, direction, product, search.steps + 1)

    start = precondition(rhs)
    product = _dot(rhs, start)
    # A square of the tolerance must not underflow the product's own precision.
    small = product * tol**2
    first = Search(jnp.zeros_like(rhs), rhs, start, product, jnp.zeros((), jnp.int32))
    last = jax.lax.while_loop(
        lambda search: (search.product > small) & (search.steps < max_steps), step, first
    )
    return last.x, last.product <= small


def _dot(a: Vector, b: Vector) -> Float[Array, ""]:
    return jnp.real(jnp.vdot(a, b))
