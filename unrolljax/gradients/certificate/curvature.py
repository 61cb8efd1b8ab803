"""Bounds on the spectrum of a symmetric operator from a few products with vectors."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from unrolljax.core import trees


def extreme_eigenvalues(
    matvec: Callable[[Array], Array], start: Float[Array, " n"], products: int
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Least and largest Ritz value of a symmetric operator, by Lanczos from `start`.

    They lie inside the spectrum: the largest eigenvalue is approached within a few products, the
    least one of an ill-conditioned operator is not, so that their quotient is a lower bound on
    the condition number (Golub & Van Loan 2013, section 10.1). Every vector is orthogonalised
    against all before it. Products beyond the dimension of the Krylov space change nothing.
    """
    products = min(products, start.size)
    tiny = jnp.finfo(start.dtype).eps

    def expand(carry, k):
        basis, v, alive = carry
        basis = basis.at[k].set(v)
        image = jnp.where(alive, matvec(v), 0)
        size = trees.norm(image)
        rest = image - basis.T @ (basis @ image)
        rest = rest - basis.T @ (basis @ rest)
        left = trees.norm(rest)
        alive = alive & (left > 100 * tiny * size)
        return (basis, jnp.where(alive, rest / jnp.where(left > 0, left, 1), 0), alive), image

    basis = jnp.zeros((products, start.size), start.dtype)
    first = start / trees.norm(start)
    carry = (basis, first, jnp.ones((), bool))
    (basis, _, _), images = jax.lax.scan(expand, carry, jnp.arange(products))
    projected = basis @ images.T
    used = jnp.sum(basis**2, axis=1) > 0
    # Places that were not used repeat the first Rayleigh quotient, which lies inside.
    filler = jnp.diag(jnp.where(used, 0, projected[0, 0]))
    values = jnp.linalg.eigvalsh((projected + projected.T) / 2 + filler)
    return values[0], values[-1]
