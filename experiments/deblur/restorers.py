"""What is trained: plug-and-play ADMM to its fixed point, and a few layers of it."""

from typing import TYPE_CHECKING, NamedTuple

import jax.numpy as jnp

from unrolljax.imaging.denoisers import Equivariant
from unrolljax.imaging.denoisers.pretrained import pretrained
from unrolljax.imaging.solvers import PnPADMM
from unrolljax.imaging.training import Restorer

if TYPE_CHECKING:
    from experiments.deblur.__main__ import Config


class Restorers(NamedTuple):
    """A fixed point, and layers with numbers of their own; each with a denoiser of its own."""

    fixed: Restorer
    layers: Restorer


def start(config: "Config") -> Restorers:
    """Before training: the package's denoiser, and numbers in units of the empty sky's noise."""
    noise = config.background**0.5 / config.peak
    step, sigma = jnp.asarray(config.trust * noise**2), jnp.asarray(config.strength * noise)
    denoiser = Equivariant(pretrained(), views=2)

    def in_layers(number):
        return jnp.full((config.layers,), number)

    return Restorers(
        Restorer.start(PnPADMM(step, sigma), denoiser),
        Restorer.start(PnPADMM(in_layers(step), in_layers(sigma)), denoiser),
    )
