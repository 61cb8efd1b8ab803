"""The experiment: what is minimised, and on what."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

import unrolljax as uj
from experiments.deblur.finish import Methods, finish
from experiments.deblur.restorers import Restorers, start
from experiments.deblur.skies import Sky, drawn, measured
from experiments.deblur.telescope import Telescope
from unrolljax import lab
from unrolljax.imaging.training import EndToEnd, Equilibrium, Measured

if TYPE_CHECKING:
    from experiments.deblur.__main__ import Config


def build(config: "Config") -> lab.Experiment:
    """The loss is the mean squared error of both restorers in dB: minus their PSNR.

    To the fixed point's error a penalty is added where its denoiser stretches: untrained it has
    fixed points, and it must keep them.
    """
    telescope = Telescope.pointed(config.psf_width, config.peak, config.background, config.missing)
    sky = drawn(config.pictures, telescope, config.seed)
    others = drawn(4, telescope, config.seed + 1)
    restorers, key = start(config), jax.random.key(config.seed)
    stops = config.stop.build(), uj.Stop(config.layers, tol=None)
    fixed = Equilibrium(config.gradient.build(), stops[0], config.penalty)
    losses = fixed, EndToEnd(uj.Unroll(), stops[1])

    def loss(learned: Restorers, sky: Sky, batch: Measured, carry: None) -> lab.Outcome:
        del carry
        both = [of(one, sky, batch) for of, one in zip(losses, learned, strict=True)]
        of_fixed, of_layers = (10 * jnp.mean(jnp.log10(outcome.error)) for outcome in both)
        status = jnp.concatenate([outcome.status for outcome in both])
        numbers = {"fixed": of_fixed, "layers": of_layers}
        return lab.Outcome((of_fixed + of_layers) / 2, status, numbers)

    def sample(sky: Sky, key: Array) -> Measured:
        return measured(sky, key, config.batch, config.size)

    def end(learned: Restorers, folder: Path) -> dict[str, Any]:
        methods = Methods(others, restorers, learned, stops)
        return finish(methods, jax.random.fold_in(key, 1), config.size, folder)

    return lab.Experiment(
        parameters=restorers,
        data=sky,
        sample=sample,
        loss=loss,
        held_out=sample(others, key),
        finish=end,
    )
