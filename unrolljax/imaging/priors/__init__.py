"""Variational priors, minimised by the core's solvers."""

from unrolljax.imaging.priors.prior import Prior
from unrolljax.imaging.priors.tikhonov import Tikhonov
from unrolljax.imaging.priors.total_variation import TotalVariation
from unrolljax.imaging.priors.wavelet_sparsity import WaveletSparsity

__all__ = ["Prior", "Tikhonov", "TotalVariation", "WaveletSparsity"]
