"""General algorithms, one file each; none of them mentions gradients of the solve."""

from unrolljax.solvers.admm import ADMM
from unrolljax.solvers.anderson import Anderson
from unrolljax.solvers.barzilai_borwein import BarzilaiBorwein
from unrolljax.solvers.fire import FIRE
from unrolljax.solvers.fixed_point import FixedPoint
from unrolljax.solvers.gauss_newton import GaussNewton
from unrolljax.solvers.gradient_descent import GradientDescent
from unrolljax.solvers.jaxopt_adapter import Jaxopt
from unrolljax.solvers.kkt import KKT, with_zero_dual
from unrolljax.solvers.lbfgs import LBFGS
from unrolljax.solvers.newton import Newton
from unrolljax.solvers.newton_root import NewtonRoot
from unrolljax.solvers.optax_adapter import Optax
from unrolljax.solvers.optimistix_adapter import Optimistix
from unrolljax.solvers.primal_dual import PrimalDual
from unrolljax.solvers.proximal_gradient import ProximalGradient

__all__ = [
    "ADMM",
    "FIRE",
    "KKT",
    "LBFGS",
    "Anderson",
    "BarzilaiBorwein",
    "FixedPoint",
    "GaussNewton",
    "GradientDescent",
    "Jaxopt",
    "Newton",
    "NewtonRoot",
    "Optax",
    "Optimistix",
    "PrimalDual",
    "ProximalGradient",
    "with_zero_dual",
]
