"""A training problem with a closed form: the ridge weights that denoise best."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

import unrolljax as uj
from unrolljax import lab
from unrolljax.lab.checkpoint import Checkpoints
from unrolljax.lab.config.schema import Train
from unrolljax.lab.outer import Outer
from unrolljax.lab.train import Training

SIZE, PROBLEMS = 3, 8


class Pairs(NamedTuple):
    truth: jax.Array
    seen: jax.Array


class Ridge(eqx.Module):
    seen: jax.Array
    weight: jax.Array

    def objective(self, x):
        return jnp.sum((x - self.seen) ** 2) / 2 + jnp.sum(self.weight * x**2) / 2


class Weights(NamedTuple):
    log_weight: jax.Array
    name: str = "ridge"  # a leaf that is not learned


def sample(scale, key):
    first, second = jax.random.split(key)
    truth = scale[None] * jax.random.normal(first, (PROBLEMS, SIZE), scale.dtype)
    return Pairs(truth, truth + jax.random.normal(second, truth.shape, scale.dtype))


def loss(weights, scale, batch, carry, gradient=None, max_steps=300):
    weight = jnp.exp(weights.log_weight)
    solver, stop = uj.GradientDescent(0.3), uj.Stop(max_steps, 1e-10)
    solve = jax.vmap(
        lambda seen: uj.solve(
            solver, Ridge(seen, weight), jnp.zeros_like(seen),
            gradient=gradient or uj.Implicit(), stop=stop,
        )
    )  # fmt: skip
    solution = solve(batch.seen)
    error = jnp.mean((solution.value - batch.truth) ** 2)
    return lab.Outcome(error, solution.status, {"root": jnp.sqrt(error)})


def closed_form(log_weight, batch):
    """The loss of the solution x = seen / (1 + weight)."""
    return jnp.mean((batch.seen / (1 + jnp.exp(log_weight))[None] - batch.truth) ** 2)


def experiment(**changes):
    held_out = sample(jnp.full(SIZE, 2.0), jax.random.key(9))
    given = {
        "parameters": Weights(jnp.zeros(SIZE)), "data": jnp.full(SIZE, 2.0), "sample": sample,
        "loss": loss, "held_out": held_out,
    }  # fmt: skip
    return lab.Experiment(**(given | changes))


def outer(accumulate=1, max_failed=0.0, max_skipped=0, **changes):
    mesh = Mesh(np.asarray(jax.devices()[:1]), ("data",))
    optimizer = optax.adam(0.1)
    return Outer(experiment(**changes), optimizer, mesh, accumulate, max_failed, max_skipped)


def training(folder, settings=None, **changes):
    settings = Train(
        **({"steps": 12, "evaluate_every": 4, "checkpoint_every": 5} | (settings or {}))
    )
    checkpoints = Checkpoints(folder / "checkpoints", settings.keep)
    made = outer(max_skipped=settings.max_skipped, **changes)
    return Training(made, 0, settings, checkpoints)
