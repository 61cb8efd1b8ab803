"""Training: six images, restored at every step from where the last step left them."""

from typing import TYPE_CHECKING

import jax
import numpy as np

from experiments.deblur import data
from experiments.deblur.finish import finish
from experiments.deblur.problem import Weights, initial_weights
from experiments.deblur.task import Batch, make
from unrolljax import lab

if TYPE_CHECKING:
    from experiments.deblur.__main__ import Config


def build(config: "Config") -> lab.Experiment:
    """The experiment; its loss is minus the mean PSNR of the restorations in dB."""
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
