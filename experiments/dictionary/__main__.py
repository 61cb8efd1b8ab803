"""Learn a dictionary of digits for their labels, starting from one learned without them.

The code of an image is an inner problem, the loss of a classifier on it the outer one. The gradient
mode is one word: `gradient=implicit`, `unroll`, `truncated`, `one_step`.
"""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from pydantic import Field

from experiments.dictionary.baseline import peers
from experiments.dictionary.data import Digits, load
from experiments.dictionary.figure import draw
from experiments.dictionary.model import Parameters, percent_wrong, start
from unrolljax import lab
from unrolljax.lab import metrics
from unrolljax.sparse import dictionary as dl


class Config(lab.Config):
    """What may be set; configs/dictionary.yaml explains it."""

    training: int = Field(ge=100, lt=1797)
    atoms: int = Field(ge=1)
    l1: float = Field(gt=0)
    l2: float = Field(ge=0)
    decay: float = Field(ge=0)
    first_epochs: int = Field(ge=1)
    batch: int = Field(ge=1)
    stop: lab.Stopping


def build(config: Config) -> lab.Experiment:
    """A batch of images at every step; the loss is the cross-entropy of their labels."""
    coder = dl.Coder(config.l1, config.l2, config.gradient.build(), config.stop.build())
    training, test = load(config.training)
    first = start(training, coder, config.atoms, config.batch, config.first_epochs, config.decay)

    def sample(data: Digits, key: Array) -> Digits:
        drawn = jax.random.choice(key, config.training, (config.batch,), replace=False)
        return data.part(drawn)

    def loss(parameters: Parameters, data: Digits, batch: Digits, carry: None) -> lab.Outcome:
        model = parameters.model
        value, solution = dl.task_loss(
            model, coder, dl.cross_entropy, batch.samples, batch.targets, config.decay
        )
        wrong = percent_wrong(model.head, solution.value, batch.targets)
        return lab.Outcome(value, solution.status, {"error": wrong})

    def finish(parameters: Parameters, folder: Path) -> dict[str, Any]:
        models = {"unsupervised": first.model, "supervised": parameters.model}
        solutions = {
            name: coder.without_gradient()(model.dictionary, test.samples).raise_if_failed()
            for name, model in models.items()
        }
        errors = {
            name: float(percent_wrong(model.head, solutions[name].value, test.targets))
            for name, model in models.items()
        } | peers(training, test)
        digits = [int(np.argmax(test.labels == digit)) for digit in range(10)]
        draw(
            folder / "figure.png",
            {name: np.asarray(model.dictionary) for name, model in models.items()},
            {name: np.asarray(found.value)[digits] for name, found in solutions.items()},
            metrics.read(folder / "metrics.jsonl"),
            {name: error for name, error in errors.items() if name != "supervised"},
        )
        used = {name: float(jnp.mean(v.value != 0)) for name, v in solutions.items()}
        return {"test error, %": errors, "share of atoms in a code": used}

    return lab.Experiment(
        parameters=first, data=training, sample=sample, loss=loss, held_out=test, finish=finish
    )


if __name__ == "__main__":
    lab.main(Config, build)
