"""Sparse hyperparameters: working sets, adjoints on the support, criteria, search.

The estimators for scikit-learn are in `model_selection.estimators`, imported by that name: they
import scikit-learn.
"""

from unrolljax.sparse.model_selection.adjoint import SupportAdjoint
from unrolljax.sparse.model_selection.criteria import (
    SURE,
    Criterion,
    CrossValidation,
    HoldOut,
    degrees_of_freedom,
)
from unrolljax.sparse.model_selection.descent import Descent
from unrolljax.sparse.model_selection.evaluate import Evaluation, Machinery, hypergradient
from unrolljax.sparse.model_selection.penalties import Penalties
from unrolljax.sparse.model_selection.search import Found, log_grid, search
from unrolljax.sparse.model_selection.working_set import WorkingSet

__all__ = [
    "SURE", "Criterion", "CrossValidation", "Descent", "Evaluation", "Found", "HoldOut",
    "Machinery", "Penalties", "SupportAdjoint", "WorkingSet", "degrees_of_freedom",
    "hypergradient", "log_grid", "search",
]  # fmt: skip
