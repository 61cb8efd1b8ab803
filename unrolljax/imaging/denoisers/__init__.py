"""Learned denoisers `denoiser(x, sigma)`, and how far they are from non-expansive."""

from unrolljax.imaging.denoisers.averaged import Averaged, contractive
from unrolljax.imaging.denoisers.dncnn import DnCNN
from unrolljax.imaging.denoisers.drunet import DRUNet
from unrolljax.imaging.denoisers.equivariant import Equivariant
from unrolljax.imaging.denoisers.ffdnet import FFDNet
from unrolljax.imaging.denoisers.gradient_step import GradientStep
from unrolljax.imaging.denoisers.jacobian_penalty import between, jacobian_penalty
from unrolljax.imaging.denoisers.layers import Convolution
from unrolljax.imaging.denoisers.learned import Learned, initialised, with_parameters
from unrolljax.imaging.denoisers.lipschitz import Stretch, lipschitz_constant

__all__ = [
    "Averaged",
    "Convolution",
    "DRUNet",
    "DnCNN",
    "Equivariant",
    "FFDNet",
    "GradientStep",
    "Learned",
    "Stretch",
    "between",
    "contractive",
    "initialised",
    "jacobian_penalty",
    "lipschitz_constant",
    "with_parameters",
]
