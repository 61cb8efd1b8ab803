"""What everybody would try first: Richardson-Lucy, and total variation, tuned on drawn skies."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

import unrolljax as uj
from experiments.deblur.skies import Looks
from experiments.deblur.telescope import Exposure, Telescope
from unrolljax.imaging import Restoration, priors, restore, solvers

LUCY_STEPS = (10, 20, 30, 50, 80, 120)
"""Candidates for the number of steps, which regularises."""

TV_LEVELS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
"""Candidates for the weight, over the inverse of the sky's noise."""

TV_STOP = uj.Stop(1000, tol=1e-3)


class Method(NamedTuple):
    """`restore(telescope, exposure, number)` is a solution; the number is one of `candidates`."""

    restore: Callable[[Telescope, Exposure, Any], uj.Solution]
    candidates: tuple[float, ...]

    def tuned(self, telescope: Telescope, looks: Looks) -> Any:
        """The candidate that leaves the least mean squared error on exposures of drawn skies."""

        @eqx.filter_jit
        def error(number: Any, looks: Looks) -> Array:
            def one(exposure: Exposure) -> Array:
                return self.restore(telescope, exposure, number).value

            return jnp.mean((jax.vmap(one)(looks.exposures) - looks.scenes) ** 2)

        numbers = [n if isinstance(n, int) else jnp.asarray(n) for n in self.candidates]
        return numbers[int(np.argmin([float(error(number, looks)) for number in numbers]))]


def by_lucy(telescope: Telescope, exposure: Exposure, steps: int) -> uj.Solution:
    """So many steps of Richardson-Lucy from an even sky."""
    data = telescope.poisson(exposure)
    mean = jnp.mean(telescope.filled(exposure))
    start = jnp.full(exposure.counts.shape, jnp.maximum(mean, 1e-3))
    stop = uj.Stop(steps, tol=None)
    return restore(
        solvers.RichardsonLucy(), Restoration(data), start, gradient=uj.Detach(), stop=stop
    )


def by_tv(telescope: Telescope, exposure: Exposure, level: float) -> uj.Solution:
    """The minimiser of misfit and total variation."""
    data = telescope.gaussian(exposure)
    noise = jnp.sqrt(telescope.background) / telescope.peak
    problem = Restoration(data, priors.TotalVariation(), level / noise)
    solver = uj.solvers.ADMM(1 / (3 * noise**2))
    start = telescope.filled(exposure)
    return restore(solver, problem, start, gradient=uj.Detach(), stop=TV_STOP)


METHODS = {
    "Richardson-Lucy": Method(by_lucy, LUCY_STEPS),
    "total variation": Method(by_tv, TV_LEVELS),
}
