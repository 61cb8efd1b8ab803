"""Random sparse codes and what is measured of them: the data of training and of tests."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from unrolljax.sparse.partition import Entries, Partition
from unrolljax.sparse.sensing import SensingOperator


class Codes(NamedTuple):
    """Sparse codes and their measurements, one row a problem."""

    x: Float[Array, "batch n"]
    y: Float[Array, "batch m"]


class Ensemble(eqx.Module):
    """Bernoulli-Gaussian codes (Chen et al. 2018, sec. 4) and the noise of their measurements.

    - `probability`: that a group of the partition is not zero; its entries are then normal.
    - `snr`: signal to noise ratio in dB, `20 log10(std(A x) / std(noise))` over a batch; infinite
      without noise.
    """

    probability: float | Array = 0.1
    snr: float | Array = float("inf")
    partition: Partition = Entries()

    def draw(self, sensing: SensingOperator, key: Array, problems: int) -> Codes:
        """So many problems; the same key gives the same ones."""
        dtype = sensing.dtype
        n = sensing.unknowns
        where, what, noise = jax.random.split(key, 3)
        groups = self.partition.norms(jnp.zeros(n, dtype)).size
        active = jax.random.bernoulli(where, self.probability, (problems, groups))
        normal = jax.random.normal(what, (problems, n), dtype)
        x = jnp.where(jax.vmap(self.partition.spread)(active), normal, 0)
        y = jax.vmap(sensing.measure)(x)
        scale = jnp.std(y) * 10 ** (-jnp.asarray(self.snr, dtype) / 20)
        return Codes(x, y + scale * jax.random.normal(noise, y.shape, dtype))


def draw_mixture(
    ensembles: tuple[Ensemble, ...], sensing: SensingOperator, key: Array, problems: int
) -> Codes:
    """So many problems of each ensemble, one ensemble after the other."""
    keys = jax.random.split(key, len(ensembles))
    parts = [e.draw(sensing, k, problems) for e, k in zip(ensembles, keys, strict=True)]
    return jax.tree.map(lambda *rows: jnp.concatenate(rows), *parts)
