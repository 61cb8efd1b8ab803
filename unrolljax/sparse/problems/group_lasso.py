"""The group lasso: unknowns that are zero together, with its duality gap."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from unrolljax.prox._shrinkage import shrinkage
from unrolljax.sparse.partition import Entries, Partition
from unrolljax.sparse.problems.lasso import Lasso


class GroupLasso(Lasso):
    """Minimise `|A x - y|^2 / 2 + sum over groups g of weight_g |x_g|` (Yuan & Lin 2006).

    - `weight`: a scalar, or one for each group (the root of its size is usual for groups of
      different sizes).
    - `partition`: the groups; single entries make it the lasso.

    As the lasso it is, in the norms of its groups: dual norm and duality gap are the lasso's.
    """

    partition: Partition = Entries()

    def prox(self, v: Float[Array, " n"], step: ArrayLike) -> Float[Array, " n"]:
        """Soft thresholding of each group's norm; its derivative is finite where a group is 0."""
        norms = self.partition.norms(v)
        threshold = jnp.broadcast_to(step * jnp.asarray(self.weight), norms.shape)
        return v * self.partition.spread(shrinkage(norms, threshold))

    def penalty(self, x: Float[Array, " n"]) -> Float[Array, ""]:
        """The weighted sum of the groups' norms."""
        return super().penalty(self.partition.norms(x))

    def support(self, x: Float[Array, " n"]) -> Bool[Array, " n"]:
        """The unknowns of the groups that are not zero, and of those that nothing penalises."""
        norms = self.partition.norms(x)
        used = jnp.broadcast_to(super().support(norms), norms.shape)
        return self.partition.spread(used)

    def dual_norm(self, correlation: Float[Array, " n"]) -> Float[Array, ""]:
        """The largest norm of a group over its weight."""
        return super().dual_norm(self.partition.norms(correlation))
