"""Learn a weight for every training sample, so that wrong labels lose theirs (data hyper-cleaning).

Softmax regression on weighted samples is the inner problem, its loss on a clean validation set the
outer one (Franceschi et al. 2017; sigmoid weights and a ridge as in the benchmarks of Dagréou et
al. 2022). Every outer step starts from the last model and the last adjoint.
"""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from pydantic import Field

import unrolljax as uj
from experiments.datacleaning.compare import test_accuracies
from experiments.datacleaning.data import Data, Name, load
from experiments.datacleaning.figure import draw
from experiments.datacleaning.problem import (
    LogOdds,
    Training,
    Validation,
    accuracy,
    f1,
    flagged,
    nesterov,
    zero_model,
)
from unrolljax import bilevel, lab
from unrolljax.lab import metrics


class Config(lab.Config):
    """What may be set; configs/datacleaning.yaml explains it."""

    data: Name
    training: int = Field(ge=1)
    validation: int = Field(ge=1)
    corrupted: float = Field(ge=0, le=1)
    ridge: float = Field(gt=0)
    certified: bool
    published: float | None = Field(ge=0, le=100)
    stop: lab.Stopping


class Warm(NamedTuple):
    """Where the next solves start; a leading axis of one problem. No adjoint without a solve."""

    model: Float[Array, "1 features classes"]
    adjoint: Float[Array, "1 features classes"] | None


def build(config: Config) -> lab.Experiment:
    """One problem, the same at every step; the loss is that of the validation set."""
    gradient = config.gradient.build()
    data = load(config.data, config.training, config.validation, config.corrupted, config.seed)
    solver = nesterov(data.training, config.ridge)
    stop = config.stop.build()
    ridge = jnp.asarray(config.ridge)

    def sample(data: Data, key: Array) -> Array:
        del key
        return data.training.labels[None]

    def start(batch: Array) -> Warm:
        zero = jnp.zeros_like(zero_model(data.training), shape=(len(batch), *shape))
        return Warm(zero, zero if isinstance(gradient, uj.Implicit) else None)

    def loss(log_odds: LogOdds, data: Data, batch: Array, carry: Warm) -> lab.Outcome:
        model, adjoint = jax.tree.map(lambda v: v[0], carry)
        found = bilevel.hypergradient(
            Validation(data.validation), solver,
            Training(data.training._replace(labels=batch[0]), ridge),
            jax.lax.stop_gradient(log_odds), model, adjoint=adjoint, gradient=gradient, stop=stop,
            certified=config.certified,
        )  # fmt: skip
        model, report = found.solution.value, found.report
        numbers = {
            "test accuracy": accuracy(model, data.test),
            "F1": f1(flagged(log_odds), data.wrong),
            "inner steps": report.steps,
            "adjoint steps": report.adjoint_steps,
        }
        if report.error is not None:
            numbers["estimated error"] = report.error
        warm = jax.tree.map(lambda v: v[None], Warm(model, found.adjoint))
        value = uj.with_gradient(found.value, found.gradient, log_odds)
        return lab.Outcome(value, found.failure, numbers, warm)

    def finish(log_odds: LogOdds, folder: Path) -> dict[str, Any]:
        rows = test_accuracies(log_odds, data, ridge)
        lines = [line for line in metrics.read(folder / "metrics.jsonl") if "loss" in line]
        levels = {name: rows[name]["training set"] for name in ("all samples", "clean samples")}
        if config.published is not None:
            levels["published"] = config.published
        draw(folder / "figure.png", log_odds, data.wrong, lines, levels)
        return {
            "F1 of wrong labels": float(f1(flagged(log_odds), data.wrong)),
            "inner steps": int(sum(line["inner steps"] for line in lines)),
            "adjoint steps": int(sum(line["adjoint steps"] for line in lines)),
            "test accuracy, %": rows,
        }

    shape = zero_model(data.training).shape
    log_odds = jnp.zeros_like(data.training.features[:, 0])
    return lab.Experiment(
        parameters=log_odds, data=data, sample=sample, loss=loss, start=start, finish=finish
    )


if __name__ == "__main__":
    lab.main(Config, build)
