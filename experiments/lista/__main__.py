"""Train a learned-ISTA network: every layer has numbers of its own.

The gradient mode is one word, `gradient=unroll` or `truncated` with a `depth`; the network is
another, `network=alista`. The problems of a batch are shared by all devices.
"""

from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from pydantic import Field

from experiments.lista.figure import draw
from experiments.lista.networks import start
from experiments.lista.outcome import errors_by_layer, sweep
from unrolljax import lab
from unrolljax.sparse import training
from unrolljax.sparse.networks import Network, decode
from unrolljax.sparse.sensing import Sensing

Name = Literal["hybrid", "blended", "hyper", "alista", "cpss", "glista", "slista", "lista"]


class Codes(lab.Section):
    """Codes to be recovered: how sparse, how noisy (null: not at all), how much they count."""

    probability: float = Field(gt=0, le=1)
    snr: float | None = None
    weight: float = Field(default=1, gt=0)

    def build(self) -> training.Ensemble:
        """The ensemble."""
        return training.Ensemble(self.probability, np.inf if self.snr is None else self.snr)


class Config(lab.Config):
    """What may be set; configs/lista.yaml explains it."""

    rows: int = Field(ge=1)
    columns: int = Field(ge=1)
    network: Name
    layers: int = Field(ge=1)
    codes: list[Codes] = Field(min_length=1)
    batch: int = Field(ge=1)
    held_out: int = Field(ge=1)


def build(config: Config) -> lab.Experiment:
    """New codes at every step; the loss is the error in dB, averaged over the kinds of codes."""
    gradient = config.gradient.build()
    A = np.random.default_rng(config.seed).standard_normal((config.rows, config.columns))
    precision = jnp.zeros(()).dtype
    sensing = Sensing.of((A / np.linalg.norm(A, axis=0)).astype(precision))
    weights = jnp.asarray([codes.weight for codes in config.codes], precision)
    ensembles = tuple(codes.build() for codes in config.codes)
    task = training.Task(sensing, ensembles, weights, config.batch)
    key = jax.random.key(config.seed)
    held_out = training.draw_mixture(ensembles, sensing, key, config.held_out)

    def loss(
        network: Network, task: training.Task, codes: training.Codes, carry: None
    ) -> lab.Outcome:
        solution = decode(network, task.sensing, codes.y, gradient)
        total = training.total_nmse(solution.value, codes.x)
        return lab.Outcome(task.error(solution.value, codes), solution.status, {"nmse_db": total})

    def finish(network: Network, folder: Path) -> dict[str, Any]:
        curves = errors_by_layer(network, sensing, held_out, config.layers)
        shift = sweep(network, sensing, jax.random.fold_in(key, 1), config.held_out)
        draw(folder / "figure.png", curves, shift, network)
        found = decode(network, sensing, held_out.y).value
        mean = float(training.mean_nmse(found, held_out.x))
        results = {f"NMSE dB, {name}": curve[-1] for name, curve in curves.items()}
        return results | {"mean of dB, learned": mean, "numbers": _count(network)}

    return lab.Experiment(
        parameters=start(config.network, task, sensing, config.layers, key),
        data=task,
        sample=_sample,
        loss=loss,
        held_out=held_out,
        finish=finish,
    )


def _sample(task: training.Task, key: Array) -> training.Codes:
    return training.sample(task, key)


def _count(network: Network) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(network.layers))


if __name__ == "__main__":
    lab.main(Config, build)
