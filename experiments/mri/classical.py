"""What plug-and-play is compared with: total variation, its weight chosen on training scans."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import unrolljax as uj
from unrolljax.imaging import Restoration, restore
from unrolljax.imaging.data_terms import Gaussian
from unrolljax.imaging.priors import TotalVariation
from unrolljax.imaging.training import Measured

LEVELS = np.geomspace(0.03, 1, 7)
"""Candidates for the weight, over the inverse of the noise."""

STOP = uj.Stop(3000, 3e-5)


def by_total_variation(data: Gaussian, weight: Float[Array, ""]) -> uj.Solution:
    """The minimiser of misfit and weighted total variation, and how its solve ended."""
    # The squared norms are 1 for a mask and at most 8 for differences.
    step = data.sigma**2
    solver = uj.solvers.PrimalDual(step, 1 / (16 * step))
    problem = Restoration(data, TotalVariation(), weight)
    return restore(solver, problem, gradient=uj.Detach(), stop=STOP)


def best_weight(noise: float, scans: Measured) -> Float[Array, ""]:
    """The weight that leaves the least mean squared error on these scans."""

    @eqx.filter_jit
    def error(weight: Array, scans: Measured) -> Array:
        found = jax.vmap(lambda data: by_total_variation(data, weight).value)(scans.data)
        return jnp.mean((found - scans.truth) ** 2)

    weights = [jnp.asarray(level / noise, scans.truth.dtype) for level in LEVELS]
    return weights[int(np.argmin([error(weight, scans) for weight in weights]))]
