"""Linear operators on images: pytrees with adjoint, norm and regularised inverse."""

from unrolljax.imaging.operators.blur import Blur, ValidBlur
from unrolljax.imaging.operators.compose import Compose, Scaled, Stack
from unrolljax.imaging.operators.conjugate_gradient import conjugate_gradient
from unrolljax.imaging.operators.dot_test import dot_test
from unrolljax.imaging.operators.downsampling import Downsampling
from unrolljax.imaging.operators.fourier import Fourier, MultiCoil
from unrolljax.imaging.operators.identity import Identity
from unrolljax.imaging.operators.inpainting import Inpainting
from unrolljax.imaging.operators.nonuniform_fourier import NonuniformFourier
from unrolljax.imaging.operators.operator import Operator
from unrolljax.imaging.operators.radon import Radon
from unrolljax.imaging.operators.space_variant_blur import SpaceVariantBlur

__all__ = [
    "Blur",
    "Compose",
    "Downsampling",
    "Fourier",
    "Identity",
    "Inpainting",
    "MultiCoil",
    "NonuniformFourier",
    "Operator",
    "Radon",
    "Scaled",
    "SpaceVariantBlur",
    "Stack",
    "ValidBlur",
    "conjugate_gradient",
    "dot_test",
]
