"""How many groups a layer lets pass whole."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float


class Selection(eqx.Module):
    """Support selection that widens with the layers (LISTA-CPSS, Chen et al. 2018, sec. 3.3).

    - `share`: of all groups, let pass by each further layer.
    - `most`: of all groups, at most.

    Zeros select nothing: plain shrinkage.
    """

    share: float | Array = 0.0
    most: float | Array = 1.0

    def count(self, layer: Array, groups: int, dtype) -> Float[Array, ""]:
        """The (real) number of groups selected by the layer of this number, from 0."""
        ordinal = layer.astype(dtype) + 1
        share = jnp.asarray(self.share, dtype) * ordinal
        return groups * jnp.minimum(share, jnp.asarray(self.most, dtype))
