"""Sparse estimation problems: what proximal gradient, working sets and learned networks solve."""

from unrolljax.sparse.problems.group_lasso import GroupLasso
from unrolljax.sparse.problems.lasso import ElasticNet, Lasso
from unrolljax.sparse.problems.logistic import SparseLogistic

__all__ = ["ElasticNet", "GroupLasso", "Lasso", "SparseLogistic"]
