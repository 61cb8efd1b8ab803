"""unrolljax: write a solver once as a pure step; choose by a flag how its gradient is computed."""

from unrolljax import bilevel, imaging, prox, solvers, sparse
from unrolljax.core.minimiser import Minimiser
from unrolljax.core.problem import Composite, Objective, Residuals, Saddle
from unrolljax.core.solution import Solution, SolveFailed
from unrolljax.core.solver import Solver, Structure
from unrolljax.core.status import Status, describe
from unrolljax.core.stop import Stop
from unrolljax.gradients.auto import Auto
from unrolljax.gradients.certificate.bound import Constants
from unrolljax.gradients.certificate.certify import Certificate, certify
from unrolljax.gradients.checks.check import check
from unrolljax.gradients.checks.comparison import Comparison
from unrolljax.gradients.detach import Detach
from unrolljax.gradients.implicit import Implicit
from unrolljax.gradients.mode import GradientMode
from unrolljax.gradients.neumann import Neumann
from unrolljax.gradients.one_step import OneStep
from unrolljax.gradients.outer_gradient import with_gradient
from unrolljax.gradients.rate import estimate_rate, truncation_depth
from unrolljax.gradients.roots import implicit_fixed_point, implicit_root, root_jvp, root_vjp
from unrolljax.gradients.solve import solve
from unrolljax.gradients.truncated import Truncated
from unrolljax.gradients.unroll import Unroll
from unrolljax.solvers.fixed_point import FixedPoint
from unrolljax.solvers.gradient_descent import GradientDescent

__version__ = "0.1.0"

__all__ = [
    "Auto",
    "Certificate",
    "Comparison",
    "Composite",
    "Constants",
    "Detach",
    "FixedPoint",
    "GradientDescent",
    "GradientMode",
    "Implicit",
    "Minimiser",
    "Neumann",
    "Objective",
    "OneStep",
    "Residuals",
    "Saddle",
    "Solution",
    "SolveFailed",
    "Solver",
    "Status",
    "Stop",
    "Structure",
    "Truncated",
    "Unroll",
    "bilevel",
    "certify",
    "check",
    "describe",
    "estimate_rate",
    "imaging",
    "implicit_fixed_point",
    "implicit_root",
    "prox",
    "root_jvp",
    "root_vjp",
    "solve",
    "solvers",
    "sparse",
    "truncation_depth",
    "with_gradient",
]
