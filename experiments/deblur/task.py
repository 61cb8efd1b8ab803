"""Images to restore and how: what training, evaluation and the comparison of modes share."""

import dataclasses
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

import unrolljax as uj
from experiments.deblur import data
from experiments.deblur.problem import Images, Observation, Restoration, Weights


class Batch(NamedTuple):
    """What each image has of its own; `start` is where its restoration starts."""

    data: Images
    valid: Images
    sigma: jax.Array
    brightness: Images
    truth: Images
    start: Images


class Task(eqx.Module):
    """The blur that all images share, the constants of the prior, a solver without step size."""

    transfer: jax.Array
    smoothing: jax.Array
    solver: uj.Solver
    stop: uj.Stop
    scales: int = eqx.field(static=True)

    def restore(self, weights: Weights, batch: Batch, gradient: uj.GradientMode) -> uj.Solution:
        """The restoration, differentiable in the weights as the gradient mode says."""
        seen = Observation(batch.data, batch.valid, self.transfer, batch.sigma, batch.brightness)
        problem = Restoration(seen, weights, self.smoothing, self.scales)
        solver = dataclasses.replace(self.solver, step_size=problem.step_size())  # pyright: ignore
        return uj.solve(solver, problem, batch.start, gradient=gradient, stop=self.stop)

    def loss(
        self, weights: Weights, batch: Batch, gradient: uj.GradientMode
    ) -> tuple[jax.Array, uj.Solution]:
        """Minus the mean PSNR in dB, and the solution."""
        solution = self.restore(weights, batch, gradient)
        errors = jnp.mean((solution.value - batch.truth) ** 2, axis=(-2, -1))
        return 10 * jnp.mean(jnp.log10(errors)), solution


def make(config: Any, truth: NDArray, sigma: NDArray, seed: int) -> tuple[Task, Batch]:
    """Observe images of one size as the configuration says."""
    seen = data.observe(truth, sigma, config.missing, config.psf_width, seed)
    start = data.fill(np.asarray(seen.data), np.asarray(seen.valid))
    images = (seen.data, seen.valid, seen.sigma, seen.brightness, truth, start)
    batch = Batch(*map(jnp.asarray, images))
    stop = config.stop.build()
    solver = config.solver.build(step_size=1.0)
    transfer, smoothing = jnp.asarray(seen.transfer), jnp.asarray(config.smoothing)
    return Task(transfer, smoothing, solver, stop, config.scales), batch
