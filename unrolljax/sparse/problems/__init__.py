"""Sparse estimation problems: what proximal gradient, working sets and learned networks solve."""

from unrolljax.sparse.problems.lasso import ElasticNet, Lasso

__all__ = ["ElasticNet", "Lasso"]
