"""The hyperparameters that a search moves: logarithms of penalties."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from unrolljax.sparse.problems.lasso import ElasticNet, Lasso


class Penalties(NamedTuple):
    """Logarithms of factors on a problem's weights.

    - `weight`: on the l1 weights; a scalar (lasso), or one for each unknown (weighted lasso).
    - `ridge`: on the ridge weight of an elastic net or a logistic regression; None leaves it.
    """

    weight: Float[Array, "*n"]
    ridge: Float[Array, ""] | None = None

    def of(self, problem: Lasso) -> Lasso:
        """The problem with its weights multiplied; weights of zero (intercepts) stay zero."""
        weight = jnp.asarray(problem.weight, self.weight.dtype)
        problem = eqx.tree_at(lambda p: p.weight, problem, jnp.exp(self.weight) * weight)
        if self.ridge is None:
            return problem
        if not isinstance(problem, ElasticNet):
            raise ValueError(
                f"Penalties(ridge=...) needs a problem with a ridge penalty, and "
                f"{type(problem).__name__} has none. Leave it None, or use ElasticNet."
            )
        ridge = jnp.exp(self.ridge) * jnp.asarray(problem.ridge, self.ridge.dtype)
        return eqx.tree_at(lambda p: p.ridge, problem, ridge)
