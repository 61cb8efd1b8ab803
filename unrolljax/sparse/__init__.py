"""Sparse recovery: problems, learned-ISTA networks, dictionaries, and their hyperparameters."""

from unrolljax.sparse.problems import ElasticNet, Lasso

__all__ = ["ElasticNet", "Lasso"]
