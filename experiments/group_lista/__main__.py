"""Train a learned-ISTA network whose groups of unknowns are zero together, and what it is worth.

The network of the training has four numbers a layer. At the end: the same network with a matrix
for each group, warm-started from it; the same without groups, trained alike; group FISTA.
"""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from pydantic import Field

from experiments.group_lista.comparison import Contest, by_layer, results, sweep, trained
from experiments.group_lista.figure import draw
from unrolljax import lab
from unrolljax.sparse import training
from unrolljax.sparse.networks import HybridLISTA, decode
from unrolljax.sparse.partition import Blocks
from unrolljax.sparse.sensing import Sensing


class Config(lab.Config):
    """What may be set; configs/group_lista.yaml explains it."""

    rows: int = Field(ge=1)
    groups: int = Field(ge=1)
    size: int = Field(ge=1)
    probability: float = Field(gt=0, le=1)
    harder: float = Field(gt=0, le=1)
    layers: int = Field(ge=1)
    batch: int = Field(ge=1)
    held_out: int = Field(ge=1)
    iterations: int = Field(ge=1)
    block_steps: int = Field(ge=10)
    probabilities: list[float] = Field(min_length=1)


def build(config: Config) -> lab.Experiment:
    """New codes at every step; the loss is the error in dB, averaged over two probabilities."""
    gradient = config.gradient.build()
    partition = Blocks(config.size)
    shape = (config.rows, config.groups * config.size)
    A = np.random.default_rng(config.seed).standard_normal(shape)
    A = (A / np.linalg.norm(A, axis=0)).astype(jnp.zeros(()).dtype)
    ensembles = tuple(
        training.Ensemble(probability, partition=partition)
        for probability in (config.probability, config.harder)
    )
    task = training.Task(Sensing.of(A, partition), ensembles, problems=config.batch)
    key = jax.random.key(config.seed)
    held_out = training.draw_mixture(ensembles, task.sensing, key, config.held_out)

    def loss(
        network: HybridLISTA, task: training.Task, codes: training.Codes, carry: None
    ) -> lab.Outcome:
        solution = decode(network, task.sensing, codes.y, gradient)
        return lab.Outcome(task.error(solution.value, codes), solution.status)

    def finish(network: HybridLISTA, folder: Path) -> dict[str, Any]:
        contest = Contest(task, Sensing.of(A), partition, config.iterations)
        keys = jax.random.split(key, 4)
        networks = trained(contest, network, keys[0], config.train.steps, config.block_steps)
        test = ensembles[0].draw(task.sensing, keys[1], config.held_out)
        early = contest.best_weight(config.probability, keys[2], config.layers)
        weight = contest.best_weight(config.probability, keys[2])
        courses = by_layer(contest, networks, test, early)
        shift = sweep(contest, networks, config.probabilities, keys[3], config.held_out)
        draw(folder / "figure.png", courses, config.probabilities, shift)
        return results(contest, networks, test, weight)

    start = HybridLISTA.start(config.layers, partition, dtype=task.sensing.dtype)
    return lab.Experiment(
        parameters=start, data=task, sample=_sample, loss=loss, held_out=held_out, finish=finish
    )


def _sample(task: training.Task, key: Array) -> training.Codes:
    return training.sample(task, key)


if __name__ == "__main__":
    lab.main(Config, build)
