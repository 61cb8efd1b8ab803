"""Data terms: how well an image explains what was measured, under a model of the noise."""

from unrolljax.imaging.data_terms.data_term import DataTerm
from unrolljax.imaging.data_terms.gaussian import Gaussian
from unrolljax.imaging.data_terms.poisson import Poisson
from unrolljax.imaging.data_terms.shifted_poisson import ShiftedPoisson

__all__ = ["DataTerm", "Gaussian", "Poisson", "ShiftedPoisson"]
