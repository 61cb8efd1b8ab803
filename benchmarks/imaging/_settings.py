"""The one setting of plug-and-play ADMM for each noise level, and the denoiser that it is for."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from unrolljax.imaging.denoisers import Equivariant
from unrolljax.imaging.denoisers.pretrained import pretrained
from unrolljax.imaging.solvers import PnPADMM

VIEWS = 8


class Tuned(NamedTuple):
    """The strength of the denoiser over that of the noise, and the step over the noise's square."""

    strength: float
    step: float

    def solver(self, noise: Any) -> PnPADMM:
        """For noise of that standard deviation, in grey values."""
        noise = jnp.float32(noise)
        return PnPADMM(self.step * noise**2, self.strength * noise)


SETTINGS = {2.55: Tuned(6.0, 40.0), 7.65: Tuned(2.0, 8.0)}
"""By the noise's standard deviation, of 255; chosen by `setting.py`."""


def denoiser() -> Equivariant:
    """The shipped one, averaged over views."""
    return Equivariant(pretrained(jnp.float32), VIEWS)
