"""What a network is trained for: a sensing operator, ensembles of codes, and the loss in dB."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from unrolljax.sparse.networks.decode import decode
from unrolljax.sparse.networks.network import Network
from unrolljax.sparse.sensing import SensingOperator
from unrolljax.sparse.training.codes import Codes, Ensemble, draw_mixture
from unrolljax.sparse.training.nmse import total_nmse


class Task(eqx.Module):
    """Recover the codes of all ensembles.

    - `weights`: of each ensemble's dB in the loss; None for equal ones. Without noise a dB is
      cheap, at its floor dear.
    - `problems`: of each ensemble in a batch.
    """

    sensing: SensingOperator
    ensembles: tuple[Ensemble, ...] = (Ensemble(),)
    weights: Float[Array, " ensembles"] | None = None
    problems: int = eqx.field(default=128, static=True)

    def error(self, found: Float[Array, "batch n"], codes: Codes) -> Float[Array, ""]:
        """The weighted mean over ensembles of the total NMSE in dB."""
        rows = (len(self.ensembles), -1, codes.x.shape[1])
        errors = jax.vmap(total_nmse)(found.reshape(rows), codes.x.reshape(rows))
        weights = jnp.ones_like(errors) if self.weights is None else self.weights
        return jnp.sum(errors * weights) / jnp.sum(weights)


def sample(task: Task, key: Array) -> Codes:
    """A fresh batch."""
    return draw_mixture(task.ensembles, task.sensing, key, task.problems)


def codes_of(task: Task, key: Array, problems: int) -> Codes:
    """So many codes of each ensemble, to validate by."""
    return draw_mixture(task.ensembles, task.sensing, key, problems)


def loss(network: Network, task: Task, codes: Codes) -> Float[Array, ""]:
    """The task's error after all layers."""
    return task.error(decode(network, task.sensing, codes.y).value, codes)
