"""Sparse logistic regression, with the duality gap that certifies an approximate solution."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from unrolljax.sparse.problems.lasso import ElasticNet


class SparseLogistic(ElasticNet):
    """Minimise `sum log(1 + exp(-y A x)) + sum(weight * |x|) + ridge |x|^2 / 2`.

    - `A`: (samples, features); `y`: (samples,), the classes -1 and 1.
    - `weight`: a scalar, or one for each unknown: zero for that of a column of ones, the intercept.
    - `sample_weight`: factors on the samples' losses; None for 1.
    """

    def misfit(self, prediction: Float[Array, " m"]) -> Float[Array, ""]:
        """The sum of the logistic losses of a prediction `A x`."""
        return self._total(jnp.logaddexp(0, -self.y * prediction))

    def duality_gap(self, x: Float[Array, " n"]) -> Float[Array, ""]:
        """Upper bound on `objective(x) - min objective`: zero at a solution, and only there.

        The dual point is the vector of the losses' slopes, scaled to be feasible (Massias et al.
        2020, section 3); the ridge penalty counts as further samples of a quadratic loss.
        """
        slope = jax.grad(self.misfit)(self.A @ x)
        scale = 1 / jnp.maximum(self.dual_norm(slope @ self.A + self.ridge * x), 1)
        weight = jnp.ones_like(self.y) if self.sample_weight is None else self.sample_weight
        share = -self.y * slope * scale / jnp.where(weight > 0, weight, 1)
        entropy = _entropy(share) + _entropy(1 - share)
        conjugate = self._total(entropy) + scale**2 * self.ridge * jnp.sum(x**2) / 2
        return self.objective(x) + conjugate


def _entropy(share: Float[Array, " m"]) -> Float[Array, " m"]:
    """`s log s`, zero at zero."""
    positive = share > 0
    return jnp.where(positive, share * jnp.log(jnp.where(positive, share, 1)), 0)
