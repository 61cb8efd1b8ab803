"""The eigenvector of the largest eigenvalue, by an accelerated power iteration."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Inexact, Int

Vector = Inexact[Array, "..."]


class Ritz(NamedTuple):
    """A unit vector, its residual, the last change of the vector, eigenvalue and steps."""

    vector: Vector
    residual: Vector
    change: Vector
    value: Float[Array, ""]
    steps: Int[Array, ""]


def largest_eigenvalue(
    gram: Callable[[Vector], Vector], start: Vector, tol: float, max_steps: int
) -> tuple[Vector, Bool[Array, ""]]:
    """The unit eigenvector of a positive semidefinite map's largest eigenvalue; did it converge.

    Power iteration made locally optimal (Knyazev 2001, LOBPCG with one vector): each step takes
    the best vector in the span of the last one, its residual and its last change, and so converges
    like conjugate gradients do. It has converged when the residual is at most `tol` times the
    eigenvalue. Nothing is differentiated.
    """
    shape, size = start.shape, start.size
    many = jax.vmap(lambda column: gram(column.reshape(shape)).ravel(), 1, 1)

    def step(ritz: Ritz) -> Ritz:
        basis = jnp.stack([ritz.vector, ritz.residual, ritz.change], axis=1)
        # Columns of very different length would lose their directions in the factorisation.
        lengths = jnp.linalg.norm(basis, axis=0, keepdims=True)
        basis = basis / jnp.where(lengths > 0, lengths, 1).astype(basis.dtype)
        basis, _ = jnp.linalg.qr(basis)
        images = many(basis)
        values, vectors = jnp.linalg.eigh(jnp.conj(basis).T @ images)
        value, weights = values[-1], vectors[:, -1]
        vector = basis @ weights
        residual = images @ weights - value.astype(vector.dtype) * vector
        change = basis[:, 1:] @ weights[1:]
        return Ritz(vector, residual, change, value, ritz.steps + 1)

    def unfinished(ritz: Ritz) -> Array:
        return (jnp.linalg.norm(ritz.residual) > tol * ritz.value) & (ritz.steps < max_steps)

    first = start.ravel() / jnp.linalg.norm(start).astype(start.dtype)
    # At least one step: the residual and the change of the first vector are unknown.
    unknown = jnp.ones(size, start.dtype)
    zero = jnp.zeros((), jnp.finfo(start.dtype).dtype)
    begin = Ritz(first, unknown, many(first[:, None])[:, 0], zero, jnp.zeros((), jnp.int32))
    last = jax.lax.while_loop(unfinished, step, begin)
    converged = jnp.linalg.norm(last.residual) <= tol * last.value
    return jax.lax.stop_gradient(last.vector.reshape(shape)), converged
