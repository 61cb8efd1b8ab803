"""Solvers that restore an image: plug-and-play, and Richardson-Lucy."""

from unrolljax.imaging.solvers.half_quadratic import HalfQuadratic
from unrolljax.imaging.solvers.layers import PerLayer
from unrolljax.imaging.solvers.plug_and_play import PlugAndPlay
from unrolljax.imaging.solvers.pnp_admm import PnPADMM
from unrolljax.imaging.solvers.pnp_fista import PnPFISTA
from unrolljax.imaging.solvers.pnp_primal_dual import PnPPrimalDual
from unrolljax.imaging.solvers.pnp_proximal_gradient import PnPProximalGradient
from unrolljax.imaging.solvers.red import REDFixedPoint, REDGradient
from unrolljax.imaging.solvers.restore import restore
from unrolljax.imaging.solvers.richardson_lucy import RichardsonLucy

__all__ = [
    "HalfQuadratic",
    "PerLayer",
    "PlugAndPlay",
    "PnPADMM",
    "PnPFISTA",
    "PnPPrimalDual",
    "PnPProximalGradient",
    "REDFixedPoint",
    "REDGradient",
    "RichardsonLucy",
    "restore",
]
