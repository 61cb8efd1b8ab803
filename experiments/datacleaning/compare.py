"""Models by how their training samples are chosen, without and with the validation set."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import unrolljax as uj
from experiments.datacleaning.data import Data, Samples
from experiments.datacleaning.problem import (
    LogOdds,
    Model,
    Regression,
    accuracy,
    flagged,
    zero_model,
)

SOLVER = uj.solvers.LBFGS()
STOP = uj.Stop(1000, 1e-5)


class Choice(NamedTuple):
    """A weight for each training sample, and the number by which the sum of losses is divided."""

    weights: Float[Array, " training"]
    count: Float[Array, ""]


def choices(log_odds: LogOdds, data: Data) -> dict[str, Choice]:
    """All samples (the baseline), weighted ones, those not flagged, the clean ones (the oracle).

    The last three are what Franceschi et al. (2017) compare.
    """
    one = jnp.ones_like(log_odds)
    total = jnp.sum(one)
    kept, clean = (jnp.where(out, 0, one) for out in (flagged(log_odds), data.wrong))
    return {
        "all samples": Choice(one, total),
        "learned weights": Choice(jax.nn.sigmoid(log_odds), total),
        "samples kept": Choice(kept, jnp.sum(kept)),
        "clean samples": Choice(clean, jnp.sum(clean)),
    }


def test_accuracies(log_odds: LogOdds, data: Data, ridge: Array) -> dict[str, dict[str, float]]:
    """In per cent: of models fitted to the training samples, and to the validation set as well."""
    both = jax.tree.map(lambda *v: jnp.concatenate(v), data.training, data.validation)
    more = jnp.ones_like(data.validation.features[:, 0])
    rows = {}
    for name, (weights, count) in choices(log_odds, data).items():
        longer = jnp.concatenate([weights, more])
        models = {
            "training set": fit(data.training, weights / count, ridge),
            "and validation set": fit(both, longer / (count + more.size), ridge),
        }
        rows[name] = {title: float(accuracy(m, data.test)) for title, m in models.items()}
    return rows


def fit(samples: Samples, shares: Float[Array, " samples"], ridge: Array) -> Model:
    """The model that weighted samples ask for. Raises SolveFailed where it is not found."""
    return _fit(Regression(samples, shares, ridge)).raise_if_failed().value


@eqx.filter_jit
def _fit(problem: Regression) -> uj.Solution:
    start = zero_model(problem.samples)
    return uj.solve(SOLVER, problem, start, gradient=uj.Detach(), stop=STOP)
