"""Training: pictures, noise and blur to train on, and the losses of denoisers and restorers."""

from unrolljax.imaging.training.end_to_end import EndToEnd, Measured, Restorer
from unrolljax.imaging.training.equilibrium import Equilibrium
from unrolljax.imaging.training.fit import Fit, Outcome, fit
from unrolljax.imaging.training.splitting import (
    Halves,
    Splitting,
    split_gaussian,
    split_mask,
    split_poisson,
)
from unrolljax.imaging.training.sure import (
    Noisy,
    RestorationSURE,
    Unseen,
    denoising_sure,
    probes,
    sure,
)

__all__ = [
    "EndToEnd",
    "Equilibrium",
    "Fit",
    "Halves",
    "Measured",
    "Noisy",
    "Outcome",
    "RestorationSURE",
    "Restorer",
    "Splitting",
    "Unseen",
    "denoising_sure",
    "fit",
    "probes",
    "split_gaussian",
    "split_mask",
    "split_poisson",
    "sure",
]
