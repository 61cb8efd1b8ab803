"""Point spread functions: square kernels that sum to one, centred on their middle pixel."""

from unrolljax.imaging.psf.motion import linear_motion, random_motion
from unrolljax.imaging.psf.profiles import airy, gaussian, moffat

__all__ = ["airy", "gaussian", "linear_motion", "moffat", "random_motion"]
