"""Sparse recovery: problems, learned-ISTA networks, dictionaries, and their hyperparameters."""

from unrolljax.sparse import dictionary, model_selection, networks, training
from unrolljax.sparse.analytic import analytic_weight
from unrolljax.sparse.convolution import ConvolutionalSensing
from unrolljax.sparse.partition import Blocks, Entries, Groups, Partition
from unrolljax.sparse.problems import ElasticNet, GroupLasso, Lasso, SparseLogistic
from unrolljax.sparse.sensing import Recovery, Sensing, SensingOperator

__all__ = [
    "Blocks",
    "ConvolutionalSensing",
    "ElasticNet",
    "Entries",
    "GroupLasso",
    "Groups",
    "Lasso",
    "Partition",
    "Recovery",
    "Sensing",
    "SensingOperator",
    "SparseLogistic",
    "analytic_weight",
    "dictionary",
    "model_selection",
    "networks",
    "training",
]
