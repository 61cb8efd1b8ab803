"""What networks are compared with: ISTA and FISTA on the (group) lasso, the oracle of supports."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from unrolljax.solvers.proximal_gradient import ProximalGradient
from unrolljax.sparse.networks.decode import after_each_step
from unrolljax.sparse.partition import Entries, Partition
from unrolljax.sparse.problems.group_lasso import GroupLasso
from unrolljax.sparse.sensing import Sensing
from unrolljax.sparse.training.codes import Codes
from unrolljax.sparse.training.nmse import total_nmse


@functools.partial(jax.jit, static_argnames=("steps", "accelerated"))
def lasso_codes_by_step(
    sensing: Sensing,
    y: Float[Array, "batch m"],
    weight: Array,
    steps: int,
    accelerated: bool,
    partition: Partition | None = None,
) -> Float[Array, "steps batch n"]:
    """The codes after each step of ISTA, or FISTA, on the lasso of one weight.

    With a partition, on the group lasso.
    """
    solver = ProximalGradient(1 / jnp.linalg.norm(sensing.A, 2) ** 2, accelerated)
    start = jnp.zeros(sensing.unknowns, y.dtype)

    def one(y: Float[Array, " m"]) -> Float[Array, "steps n"]:
        problem = GroupLasso(sensing.A, y, weight, partition or Entries())
        return after_each_step(solver, problem, start, steps)

    return jax.vmap(one, out_axes=1)(y)


def lasso_codes(
    sensing: Sensing,
    y: Float[Array, "batch m"],
    weight: Array,
    steps: int,
    accelerated: bool,
    partition: Partition | None = None,
) -> Float[Array, "batch n"]:
    """The codes after so many steps of ISTA, or FISTA, on the (group) lasso of one weight."""
    return lasso_codes_by_step(sensing, y, weight, steps, accelerated, partition)[-1]


def best_weight(
    sensing: Sensing,
    codes: Codes,
    steps: int,
    accelerated: bool,
    partition: Partition | None = None,
) -> Array:
    """The weight, of sixteen from 1e-4 to 1, that leaves the least total error on these codes."""
    weights = jnp.geomspace(1e-4, 1, 16, dtype=codes.y.dtype)
    errors = [
        total_nmse(lasso_codes(sensing, codes.y, weight, steps, accelerated, partition), codes.x)
        for weight in weights
    ]
    return weights[int(np.argmin(errors))]


def oracle_codes(sensing: Sensing, codes: Codes) -> np.ndarray:
    """Least squares on the true supports: the floor under noise of all that must find them."""
    A, found = np.asarray(sensing.A, np.float64), np.zeros(codes.x.shape)
    for row, (x, y) in enumerate(zip(np.asarray(codes.x), np.asarray(codes.y), strict=True)):
        support = np.flatnonzero(x)
        found[row, support] = np.linalg.lstsq(A[:, support], y)[0]
    return found
