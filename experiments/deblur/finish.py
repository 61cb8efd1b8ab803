"""After training: every method on one exposure of the Hubble deep field."""

from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

import unrolljax as uj
from experiments.deblur import classical, figure
from experiments.deblur.restorers import Restorers
from experiments.deblur.skies import Sky, look
from experiments.deblur.telescope import Exposure
from unrolljax.imaging.scores import scores
from unrolljax.imaging.training.images import grey
from unrolljax.lab import metrics

CROP = (slice(310, 566), slice(420, 676))
"""Of the deep field, no part of which is in any training."""

TUNED_BY = 6
"""Exposures of drawn skies by which the numbers of the classical methods are chosen."""


class Methods(NamedTuple):
    """What can restore: skies to tune by, restorers untrained and trained, and their stops."""

    sky: Sky
    untrained: Restorers
    trained: Restorers
    stops: tuple[uj.Stop, uj.Stop]

    def solutions(self, exposure: Exposure, key: Array, size: int) -> dict[str, uj.Solution]:
        """What each makes of an exposure."""
        telescope = self.sky.telescope
        seen = look(self.sky, key, TUNED_BY, size)
        found = {}
        for name, method in classical.METHODS.items():
            number = method.tuned(telescope, seen)
            found[name] = eqx.filter_jit(method.restore)(telescope, exposure, number)
        data, restore = telescope.gaussian(exposure), eqx.filter_jit(_restore)
        found["plug-and-play"] = restore(self.untrained.fixed, data, self.stops[0])
        found["unrolled, trained"] = restore(self.trained.layers, data, self.stops[1])
        found["implicit, trained"] = restore(self.trained.fixed, data, self.stops[0])
        return found


def finish(methods: Methods, key: Array, size: int, folder: Path) -> dict[str, Any]:
    """PSNR and SSIM by method, the learned numbers, how solves ended, and the figure."""
    telescope = methods.sky.telescope
    scene, tuning = jax.random.split(key)
    truth = jnp.asarray(grey("hubble_deep_field")[CROP], telescope.peak.dtype)[..., None]
    exposure = eqx.filter_jit(telescope.expose)(truth, scene)
    found = methods.solutions(exposure, tuning, size)
    images = {"exposure": telescope.filled(exposure)}
    images |= {name: solution.value for name, solution in found.items()}
    by_method = {name: scores(image, truth) for name, image in images.items()}
    pictures = {n: np.asarray(v, float)[..., 0] for n, v in {"truth": truth, **images}.items()}
    figure.draw(folder / "figure.png", pictures, by_method, metrics.read(folder / "metrics.jsonl"))
    ends = {name: uj.Status(int(solution.status)).name for name, solution in found.items()}
    return {
        **by_method,
        "steps": {name: int(solution.steps) for name, solution in found.items()},
        "fixed point": _numbers(methods.trained.fixed),
        "status": ends,
    }


def _restore(restorer, data, stop: uj.Stop) -> uj.Solution:
    return restorer(data, gradient=uj.Detach(), stop=stop)


def _numbers(restorer) -> dict[str, float]:
    solver = restorer.solver
    return {"step size": float(solver.step_size), "sigma": float(solver.sigma)}
