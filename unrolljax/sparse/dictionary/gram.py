"""The elastic net in terms of its Gram matrix: cheap where many samples share a dictionary."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from unrolljax import prox


class GramElasticNet(eqx.Module):
    """Minimise `a.gram a / 2 - correlation.a + weight |a|_1 + ridge |a|^2 / 2`.

    With `gram = D^T D` and `correlation = D^T x` it is `ElasticNet(D, x, weight, ridge)` less the
    constant `|x|^2 / 2`; a step costs one product with the Gram matrix, which a vmapped batch of
    samples shares.

    - `gram`: (atoms, atoms), symmetric (derivatives rely on it); `correlation`: (atoms,).
    """

    gram: Float[Array, "atoms atoms"]
    correlation: Float[Array, " atoms"]
    weight: Float[Array, ""] | float
    ridge: Float[Array, ""] | float = 0.0

    def smooth(self, a: Float[Array, " atoms"]) -> Float[Array, ""]:
        """Quadratic and linear part, and the ridge penalty."""
        return (
            _half_square(self.gram, a)
            - jnp.sum(self.correlation * a)
            + self.ridge * jnp.sum(a**2) / 2
        )

    def prox(self, v: Float[Array, " atoms"], step: ArrayLike) -> Float[Array, " atoms"]:
        """Soft thresholding."""
        return prox.l1(v, step * jnp.asarray(self.weight))

    def penalty(self, a: Float[Array, " atoms"]) -> Float[Array, ""]:
        """The weighted l1 norm."""
        return jnp.sum(self.weight * jnp.abs(a))

    def support(self, a: Float[Array, " atoms"]) -> Bool[Array, " atoms"]:
        """The atoms in use."""
        return a != 0

    def objective(self, a: Float[Array, " atoms"]) -> Float[Array, ""]:
        """Smooth part plus penalty."""
        return self.smooth(a) + self.penalty(a)


@jax.custom_jvp
def _half_square(gram: Array, a: Array) -> Array:
    """`a.gram a / 2`; its gradient in a takes one product, not one with each of gram, gram^T."""
    return jnp.sum(a * (gram @ a)) / 2


@_half_square.defjvp
def _(primals, tangents):
    (gram, a), (gram_dot, a_dot) = primals, tangents
    image = gram @ a
    return jnp.sum(a * image) / 2, jnp.sum(a_dot * image) + jnp.sum(a * (gram_dot @ a)) / 2


def largest_eigenvalue_bound(gram: Float[Array, "n n"]) -> Float[Array, ""]:
    """Upper bound on the largest eigenvalue of a symmetric positive semidefinite matrix.

    The Frobenius norm of the 16th power, to the power 1/16: at most `n ** (1/32)` times too large.
    """
    trace = jnp.trace(gram)
    power = gram / jnp.where(trace > 0, trace, 1)
    for _ in range(4):
        power = power @ power
    return trace * jnp.sqrt(jnp.sum(power**2)) ** (1 / 16)
