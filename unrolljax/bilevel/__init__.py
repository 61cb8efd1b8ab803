"""Outer problems: calibration of parameters to data, and what the data say about them."""

from unrolljax.bilevel.hypergradient import Hypergradient, hypergradient
from unrolljax.bilevel.identifiability import Identifiability, identifiability
from unrolljax.bilevel.least_squares import Fit, least_squares
from unrolljax.bilevel.loss import Cauchy, Huber, Linear, SoftL1
from unrolljax.bilevel.minimize import Minimum, minimize
from unrolljax.bilevel.single_loop import StochasticMinimum, single_loop
from unrolljax.bilevel.tolerance import Geometric, Polynomial

__all__ = [
    "Cauchy",
    "Fit",
    "Geometric",
    "Huber",
    "Hypergradient",
    "Identifiability",
    "Linear",
    "Minimum",
    "Polynomial",
    "SoftL1",
    "StochasticMinimum",
    "hypergradient",
    "identifiability",
    "least_squares",
    "minimize",
    "single_loop",
]
