"""Learn the penalty of each column of a lasso by hypergradients of a hold-out loss.

Training starts from the best common penalty and takes a warm-started hypergradient a step. At the
end: the course of the searches for one penalty (lasso) and for two (elastic net) over the hold-out
loss, and what each model is worth on samples that nobody has seen.
"""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float
from pydantic import Field

import unrolljax as uj
from experiments.lasso_path.data import Problems, Shape, simulate
from experiments.lasso_path.figure import draw
from experiments.lasso_path.search import landscape, one_penalty, scores, two_penalties
from unrolljax import lab
from unrolljax.lab import metrics
from unrolljax.sparse import Lasso
from unrolljax.sparse.model_selection import Machinery, Penalties, SupportAdjoint, WorkingSet
from unrolljax.sparse.model_selection.threads import one_blas_thread


class Config(lab.Config):
    """What may be set; configs/lasso_path.yaml explains it."""

    samples: int = Field(ge=10)
    features: int = Field(ge=10)
    nonzero: int = Field(ge=1)
    correlation: float = Field(ge=0, lt=1)
    snr: float = Field(gt=0)
    splits: int = Field(ge=1)
    capacity: int = Field(ge=1)
    path: int = Field(ge=2)
    contour: int = Field(ge=2)
    stop: lab.Stopping


def build(config: Config) -> lab.Experiment:
    """The loss is the mean hold-out loss of simulated tables, which share their penalties."""
    one_blas_thread()
    shape = Shape(config.samples, config.features, config.nonzero, config.correlation, config.snr)
    problems = simulate(shape, config.splits, config.seed)
    stop = config.stop.build()
    machinery = Machinery(WorkingSet(config.capacity), SupportAdjoint(config.capacity), stop)
    common = one_penalty(problems.first(), config.capacity, stop)
    start_at = Penalties(jnp.full(config.features, common.theta.weight))

    def start(batch: Problems) -> Float[Array, "splits features"]:
        return jnp.zeros((len(batch.y), config.features), batch.y.dtype)

    def loss(penalties: Penalties, data: None, batch: Problems, carry: Array) -> lab.Outcome:
        del data
        still = jax.lax.stop_gradient(penalties)

        def of_split(problems: Problems, x: Array):
            return machinery.evaluate(problems.hold_out(Lasso), still, x[None])

        found = jax.vmap(of_split)(batch, carry)
        value, slope = jax.tree.map(lambda v: jnp.mean(v, axis=0), (found.value, found.gradient))
        numbers = {"support": jnp.mean(found.support.astype(value.dtype))}
        total = uj.with_gradient(value, slope, penalties)
        return lab.Outcome(total, found.status, numbers, found.x[:, 0])

    def finish(penalties: Penalties, folder: Path) -> dict[str, Any]:
        first = problems.first()
        both = two_penalties(first, config.capacity, stop)
        path, surface = landscape(first, common, both, config.path, config.contour, stop)
        rows = scores(first, {"lasso": common.theta, "elastic net": both.theta,
                              "weighted lasso": penalties}, config.capacity, stop)  # fmt: skip
        lines = [line for line in metrics.read(folder / "metrics.jsonl") if "loss" in line]
        draw(folder / "figure.png", common, path, both, surface, lines, rows)
        evaluations = {"lasso": int(common.evaluations), "elastic net": int(both.evaluations)}
        return {"scores": rows, "evaluations": evaluations}

    return lab.Experiment(
        parameters=start_at, sample=lambda data, key: problems, loss=loss,
        held_out=problems, start=start, finish=finish,
    )  # fmt: skip


if __name__ == "__main__":
    lab.main(Config, build)
