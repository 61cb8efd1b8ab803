"""Learn the weights of a deblurring prior by differentiating through the solver.

The gradient mode is one word on the command line: `gradient=unroll`, `truncated`, `implicit`.
"""

import jax
import numpy as np
from pydantic import Field

import unrolljax as uj
from experiments.deblur import data
from experiments.deblur.finish import finish
from experiments.deblur.problem import Weights, initial_weights
from experiments.deblur.task import Batch, make
from unrolljax import lab


class Stop(lab.Section):
    """When the inner solve stops."""

    max_steps: int = Field(ge=1)
    tol: float = Field(gt=0)


class Config(lab.Config):
    """What may be set; configs/deblur.yaml explains it."""

    size: int = Field(ge=16, le=128)
    scales: int = Field(ge=1, le=4)
    psf_width: float = Field(gt=0)
    missing: float = Field(ge=0, lt=1)
    training_noise: list[float] = Field(min_length=1)
    test_noise: float = Field(gt=0)
    smoothing: float = Field(gt=0)
    initial_weight: float = Field(gt=0)
    solver: lab.Target[uj.Solver]
    stop: Stop
    compare_tol: float = Field(gt=0)
    compare: dict[str, lab.Target[uj.GradientMode]]


def build(config: Config) -> lab.Experiment:
    """Six training images, restored at every step from where the last step left them."""
    truth = data.training(config.size)
    sigma = np.resize(np.asarray(config.training_noise), len(truth))
    task, images = make(config, truth, sigma, config.seed)
    gradient = config.gradient.build()

    def loss(weights: Weights, given: tuple, batch: Batch, start: jax.Array) -> lab.Outcome:
        value, solution = given[0].loss(weights, batch._replace(start=start), gradient)
        metrics = {"psnr": -value, "solver_steps": solution.steps.astype(value.dtype)}
        return lab.Outcome(value, solution.status, metrics, solution.value)

    return lab.Experiment(
        parameters=initial_weights(config.scales, config.initial_weight),
        data=(task, images),
        sample=lambda given, key: given[1],
        loss=loss,
        start=lambda batch: batch.start,
        finish=lambda weights, folder: finish(config, weights, folder),
    )


if __name__ == "__main__":
    lab.main(Config, build)
