"""Computational imaging: operators, data terms, priors, denoisers and plug-and-play solvers.

`denoisers` and `training` are imported by name, since they load flax.
"""

from unrolljax.imaging import data_terms, operators, priors, psf, solvers
from unrolljax.imaging.restoration import Restoration
from unrolljax.imaging.solvers.restore import restore

__all__ = ["Restoration", "data_terms", "operators", "priors", "psf", "restore", "solvers"]
