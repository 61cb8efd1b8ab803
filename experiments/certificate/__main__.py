"""Fit a quadratic's parameters by gradients with an error bar; then put the error bar to the test.

Training writes the estimated and the true error of every step's gradient; at the end a campaign
over solvers, problems, gradient modes and tolerances draws one against the other.
"""

from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from pydantic import Field

import unrolljax as uj
from experiments.certificate import campaign, smooth
from experiments.certificate.figure import draw
from experiments.certificate.smooth import Quadratic
from unrolljax import lab
from unrolljax.lab import metrics


class Config(lab.Config):
    """What may be set; configs/certificate.yaml explains it."""

    condition: float = Field(gt=1)
    size: int = Field(ge=2)
    batch: int = Field(ge=1)
    tol: float = Field(gt=0, lt=1)
    max_steps: int = Field(ge=1)
    tolerances: list[float]
    quick: bool


def build(config: Config) -> lab.Experiment:
    """New right sides at every step; the loss is the mean squared distance to a target."""
    gradient = config.gradient.build()
    system = smooth.quadratic(config.condition, config.size, config.seed)
    # Half the step that is safe at the start: training may double the curvature.
    solver = uj.GradientDescent(0.5 / float(np.exp(system.theta[0])), 0.9, "nesterov")
    x0 = jnp.asarray(system.x0)
    stop = uj.Stop(config.max_steps, config.tol)

    def sample(problem: Quadratic, key: Array) -> Float[Array, "batch n"]:
        shape = (config.batch, config.size)
        return problem.c + 0.01 * jax.random.normal(key, shape, problem.c.dtype)

    def loss(theta: Array, problem: Quadratic, batch: Array, carry: None) -> lab.Outcome:
        def certified(c: Array) -> tuple[uj.Certificate, Array]:
            own = eqx.tree_at(lambda p: p.c, problem, c)
            still = jax.lax.stop_gradient(theta)
            return uj.certify(
                system.outer, solver, own, still, x0, gradient=gradient, stop=stop
            ), jax.grad(exact)(still, own)

        found, truth = jax.vmap(certified)(batch)
        size = jnp.linalg.norm(truth, axis=-1)
        error = jnp.linalg.norm(found.gradient - truth, axis=-1) / size
        errors = {"estimated error": jnp.mean(found.error), "true error": jnp.mean(error)}
        mean = jnp.mean(found.value), jnp.mean(found.gradient, axis=0)
        return lab.Outcome(uj.with_gradient(*mean, theta), found.solution.status, errors)

    def exact(theta: Array, problem: Quadratic) -> Float[Array, ""]:
        right = problem.B @ theta + problem.c
        return system.outer(theta, jnp.linalg.solve(jnp.exp(theta[0]) * problem.H, right))

    def finish(theta: Array, folder: Path) -> dict[str, Any]:
        with jax.enable_x64(True):
            chosen = campaign.systems(config.quick)
            cases = list(campaign.run(chosen, config.tolerances, config.quick))
        lines = [line for line in metrics.read(folder / "metrics.jsonl") if "loss" in line]
        draw(folder / "figure.png", cases, lines)
        return campaign.summarise(cases)

    theta = jnp.asarray(system.theta)
    data = system.problem_fn
    held_out = jnp.asarray(np.asarray(data.c)[None])  # pyright: ignore
    return lab.Experiment(
        parameters=theta, data=data, sample=sample, loss=loss, held_out=held_out, finish=finish
    )


if __name__ == "__main__":
    lab.main(Config, build)
