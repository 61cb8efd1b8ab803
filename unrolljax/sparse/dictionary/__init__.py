"""Task-driven dictionary learning: sparse codes learned for the task that they serve.

The estimators for scikit-learn live in `unrolljax.sparse.dictionary.estimators`, which imports it.
"""

from unrolljax.sparse.dictionary.atoms import project_atoms, replace_unused
from unrolljax.sparse.dictionary.batches import draw_batches
from unrolljax.sparse.dictionary.coder import Coder
from unrolljax.sparse.dictionary.fitting import Fitted, encode, fit
from unrolljax.sparse.dictionary.gram import GramElasticNet
from unrolljax.sparse.dictionary.model import Head, Model, cross_entropy, fit_head, squared_error
from unrolljax.sparse.dictionary.online import learn_dictionary
from unrolljax.sparse.dictionary.training import Trained, task_loss, train

__all__ = [
    "Coder",
    "Fitted",
    "GramElasticNet",
    "Head",
    "Model",
    "Trained",
    "cross_entropy",
    "draw_batches",
    "encode",
    "fit",
    "fit_head",
    "learn_dictionary",
    "project_atoms",
    "replace_unused",
    "squared_error",
    "task_loss",
    "train",
]
