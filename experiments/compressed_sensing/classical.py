"""What the learned layers are compared with: ISTA and FISTA, on the lasso weighted by bands."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import unrolljax as uj
from experiments.compressed_sensing.data import Camera
from unrolljax.sparse.sensing import Sensing
from unrolljax.sparse.training import Codes, lasso_codes

LEVELS = np.geomspace(3e-3, 1, 12)
"""Of the noise in codes, over the scale of each band: candidates for the weights of the lasso."""


def best_weight(
    camera: Camera, codes: Codes, scale: Float[np.ndarray, " n"], steps: int, accelerated: bool
) -> Float[Array, " n"]:
    """The weights, inverse to the scales of entries, that leave the least error on these codes."""
    unit = jnp.asarray(np.min(scale) / scale, codes.x.dtype)
    weights = [unit * jnp.asarray(level, unit.dtype) for level in LEVELS]

    def error(weight: Array) -> float:
        found = lasso_codes(camera.sensing, codes.y, weight, steps, accelerated)
        return float(camera.error(found, codes.x))

    return weights[int(np.argmin([error(weight) for weight in weights]))]


@functools.partial(jax.jit, static_argnames=("max_steps", "tol"))
def converged(
    sensing: Sensing, y: Float[Array, "batch m"], weight: Array, max_steps: int, tol: float
) -> uj.Solution:
    """The solutions of the lasso, by FISTA, with statuses by row."""
    solver = uj.solvers.ProximalGradient(1 / jnp.linalg.norm(sensing.A, 2) ** 2, accelerated=True)
    start = jnp.zeros(sensing.unknowns, y.dtype)

    def one(y: Float[Array, " m"]) -> uj.Solution:
        problem = uj.sparse.Lasso(sensing.A, y, weight)
        return uj.solve(solver, problem, start, gradient=uj.Detach(), stop=uj.Stop(max_steps, tol))

    return jax.vmap(one)(y)
