"""Learn elastic-net weights, and a weight of each input, by hypergradients of a cross-validation.

The folds of a cross-validation are the problems of a batch; each starts from its last solution and
its last adjoint. At the end: scikit-learn's grid search on the same folds.
"""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool
from pydantic import Field

import unrolljax as uj
from experiments.hyperparameter.baseline import grid_search
from experiments.hyperparameter.data import Task, curvature, load
from experiments.hyperparameter.evaluation import fit, scores
from experiments.hyperparameter.figure import draw
from experiments.hyperparameter.problem import Data, Model, Penalties, Training, Validation
from unrolljax import bilevel, lab
from unrolljax.lab import metrics


class Config(lab.Config):
    """What may be set; configs/hyperparameter.yaml explains it."""

    task: Task
    degree: int = Field(ge=1)
    folds: int = Field(ge=2)
    test_share: float = Field(gt=0, lt=1)
    first_l1: float = Field(gt=0)
    first_l2: float = Field(gt=0)
    prior: float = Field(ge=0)
    certified: bool
    grid: int = Field(ge=2)
    stop: lab.Stopping


def build(config: Config) -> lab.Experiment:
    """The loss is the mean validation loss of the folds."""
    gradient = config.gradient.build()
    table = load(config.task, config.degree, config.folds, config.test_share, config.seed)
    classify = config.task == "breast_cancer"
    powers = jnp.asarray(table.powers * 1.0)
    data = Data(jnp.asarray(table.A), jnp.asarray(table.y), powers, classify)
    solver = uj.solvers.ProximalGradient(1 / curvature(table, classify), accelerated=True)
    stop = config.stop.build()
    folds = jnp.asarray(table.fold[None] == np.arange(config.folds)[:, None])
    seen = jnp.asarray(table.fold >= 0)

    def start(batch: Bool[Array, "folds samples"]) -> tuple[Model, Model]:
        zeros = jax.tree.map(lambda v: jnp.zeros((len(batch), *v.shape), v.dtype), data.zero)
        return zeros, zeros

    def loss(
        penalties: Penalties, data: Data, batch: Array, carry: tuple[Model, Model]
    ) -> lab.Outcome:
        still = jax.lax.stop_gradient(penalties)

        def of_fold(validated: Array, x0: Model, adjoint: Model) -> bilevel.Hypergradient:
            outer = Validation(data, validated, jnp.asarray(config.prior, data.y.dtype))
            training = Training(data, seen & ~validated)
            return bilevel.hypergradient(
                outer, solver, training, still, x0, stop=stop, gradient=gradient,
                adjoint=adjoint if isinstance(gradient, uj.Implicit) else None,
                certified=config.certified,
            )  # fmt: skip

        found = jax.vmap(of_fold)(batch, *carry)
        value, slope = jax.tree.map(lambda v: jnp.mean(v, axis=0), (found.value, found.gradient))
        plain = value - config.prior * jnp.sum(still.inputs**2) / 2
        numbers = {
            "validation loss": plain,
            "inner steps": jnp.mean(found.report.steps.astype(value.dtype)),
            "adjoint steps": jnp.mean(found.report.adjoint_steps.astype(value.dtype)),
        }
        if found.report.error is not None:
            numbers["estimated error"] = jnp.mean(found.report.error)
        adjoint = carry[1] if found.adjoint is None else found.adjoint
        carry = (found.solution.value, adjoint)
        total = uj.with_gradient(value, slope, penalties)
        return lab.Outcome(total, found.failure, numbers, carry)

    def finish(penalties: Penalties, folder: Path) -> dict[str, Any]:
        search = grid_search(table, classify, config.grid)
        tight = uj.Stop(20 * config.stop.max_steps, config.stop.tol)
        models = {
            "first penalties": fit(data, seen, first, solver, tight),
            "hypergradients": fit(data, seen, penalties, solver, tight),
            "grid search": Model(jnp.asarray(search.intercept), jnp.asarray(search.weights)),
        }
        rows = {name: scores(data, ~seen, model) for name, model in models.items()}
        lines = [line for line in metrics.read(folder / "metrics.jsonl") if "loss" in line]
        draw(folder / "figure.png", penalties, lines, search.validation)
        rows["hypergradients"]["validation loss"] = lines[-1]["validation loss"]
        rows["grid search"] |= {"validation loss": search.validation, "fits": search.fits}
        learned = {name: float(jnp.exp(getattr(penalties, name))) for name in ("l1", "l2")}
        return {config.task: rows, **learned}

    l1, l2 = (jnp.asarray(np.log(weight)) for weight in (config.first_l1, config.first_l2))
    first = Penalties(l1, l2, jnp.zeros(table.powers.shape[1]))
    return lab.Experiment(
        parameters=first, data=data, sample=lambda data, key: folds, loss=loss,
        held_out=folds, start=start, finish=finish,
    )  # fmt: skip


if __name__ == "__main__":
    lab.main(Config, build)
