"""Training learned-ISTA networks: codes, losses in dB, search, stages, recipes."""

from unrolljax.sparse.training.baselines import (
    best_weight,
    lasso_codes,
    lasso_codes_by_step,
    oracle_codes,
)
from unrolljax.sparse.training.codes import Codes, Ensemble, draw_mixture
from unrolljax.sparse.training.evaluate import error_on
from unrolljax.sparse.training.fit import Fit, fit
from unrolljax.sparse.training.nmse import mean_nmse, total_nmse
from unrolljax.sparse.training.rates import bounded_adam, grouped_adam
from unrolljax.sparse.training.recipes import (
    searched_alista,
    trained,
    trained_alista,
    trained_coupled,
    trained_hybrid,
    tuned_hyperlista,
)
from unrolljax.sparse.training.stagewise import search_layers, train_stages
from unrolljax.sparse.training.task import Task, loss, sample
from unrolljax.sparse.training.tune import Tuned, tune

__all__ = [
    "Codes",
    "Ensemble",
    "Fit",
    "Task",
    "Tuned",
    "best_weight",
    "bounded_adam",
    "draw_mixture",
    "error_on",
    "fit",
    "grouped_adam",
    "lasso_codes",
    "lasso_codes_by_step",
    "loss",
    "mean_nmse",
    "oracle_codes",
    "sample",
    "search_layers",
    "searched_alista",
    "total_nmse",
    "train_stages",
    "trained",
    "trained_alista",
    "trained_coupled",
    "trained_hybrid",
    "tune",
    "tuned_hyperlista",
]
