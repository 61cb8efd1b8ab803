"""The lasso and the elastic net, with the duality gap that certifies an approximate solution."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from unrolljax import prox
from unrolljax.core import trees


class Lasso(eqx.Module):
    """Minimise `|A x - y|^2 / 2 + sum(weight * |x|)`.

    - `A`: (measurements, unknowns); `y`: (measurements,).
    - `weight`: a scalar, or one weight for each unknown (the weighted lasso).
    - `sample_weight`: (measurements,), factors on the measurements' squared misfits; None for 1.
    """

    A: Float[Array, "m n"]
    y: Float[Array, " m"]
    weight: Float[Array, "*n"] | float
    sample_weight: Float[Array, " m"] | None = eqx.field(default=None, kw_only=True)

    def misfit(self, prediction: Float[Array, " m"]) -> Float[Array, ""]:
        """Half the squared distance of a prediction `A x` from y; the smooth part is made of it."""
        return self._total((prediction - self.y) ** 2) / 2

    def slope(self, prediction: Float[Array, " m"]) -> Float[Array, " m"]:
        """The gradient of the misfit."""
        return jax.grad(self.misfit)(prediction)

    def curvature(self, prediction: Float[Array, " m"]) -> Float[Array, " m"]:
        """The diagonal of the misfit's Hessian; there is nothing beside it."""
        return jax.jvp(self.slope, (prediction,), (jnp.ones_like(prediction),))[1]

    def ridge_weight(self) -> Float[Array, ""] | float:
        """The weight of `|x|^2 / 2` in the smooth part."""
        return 0.0

    def smooth(self, x: Float[Array, " n"]) -> Float[Array, ""]:
        """Half the squared misfit."""
        return self.misfit(self.A @ x)

    def prox(self, v: Float[Array, " n"], step: ArrayLike) -> Float[Array, " n"]:
        """Soft thresholding."""
        return prox.l1(v, step * jnp.asarray(self.weight))

    def penalty(self, x: Float[Array, " n"]) -> Float[Array, ""]:
        """The weighted l1 norm."""
        return jnp.sum(self.weight * jnp.abs(x))

    def support(self, x: Float[Array, " n"]) -> Bool[Array, " n"]:
        """The unknowns that are not zero, and those that nothing penalises."""
        return (x != 0) | (jnp.asarray(self.weight) == 0)

    def objective(self, x: Float[Array, " n"]) -> Float[Array, ""]:
        """Misfit plus penalty."""
        return self.smooth(x) + self.penalty(x)

    def dual_norm(self, correlation: Float[Array, " n"]) -> Float[Array, ""]:
        """The least s for which `correlation / s` is dual feasible."""
        return jnp.max(_ratio(jnp.abs(correlation), self.weight))

    def duality_gap(self, x: Float[Array, " n"]) -> Float[Array, ""]:
        """Upper bound on `objective(x) - min objective`: zero at a solution, and only there.

        The dual point is the residual, scaled to be feasible (El Ghaoui et al. 2012; Massias et
        al. 2018, eq. 5). Unknowns of weight zero make it loose: the scale is then zero until their
        correlation vanishes exactly.
        """
        dual_norm = self.dual_norm(trees.gradient(self.smooth, x))
        scale = 1 / jnp.maximum(dual_norm, 1)
        fit = self._total((self.y - self.A @ x) * self.y)
        dual = scale * fit - scale**2 * self.smooth(x)
        return self.objective(x) - dual

    def largest_weight(self) -> Float[Array, ""]:
        """The factor on the weights from which on the solution is zero."""
        return self.dual_norm(self.slope(jnp.zeros_like(self.y)) @ self.A)

    def _total(self, losses: Float[Array, " m"]) -> Float[Array, ""]:
        """The weighted sum over measurements."""
        return jnp.sum(losses if self.sample_weight is None else self.sample_weight * losses)


class ElasticNet(Lasso):
    """Minimise `|A x - y|^2 / 2 + sum(weight * |x|) + ridge |x|^2 / 2` (Zou & Hastie 2005)."""

    ridge: Float[Array, ""] | float = 0.0

    def ridge_weight(self) -> Float[Array, ""] | float:
        """The ridge penalty's weight."""
        return self.ridge

    def smooth(self, x: Float[Array, " n"]) -> Float[Array, ""]:
        """Half the squared misfit, and the ridge penalty."""
        return super().smooth(x) + self.ridge * jnp.sum(x**2) / 2


def _ratio(size: Array, weight: ArrayLike) -> Array:
    """`size / weight`; where the weight is zero, infinity unless the size is zero too."""
    weight = jnp.broadcast_to(weight, size.shape).astype(size.dtype)
    positive = weight > 0
    unbounded = jnp.where(size > 0, jnp.inf, 0)
    return jnp.where(positive, size / jnp.where(positive, weight, 1), unbounded)
