"""Train a learned ISTA with analytic weights (ALISTA, Liu et al. 2019) on sparse codes.

Every layer has a step size and a threshold of its own; the problems of a batch are shared by all
devices. The gradient mode is one word: `gradient=unroll`, or `truncated` with a `depth`.
"""

from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from matplotlib.figure import Figure
from pydantic import Field

import unrolljax as uj
from unrolljax import lab


class Config(lab.Config):
    """What may be set; configs/lista.yaml explains it."""

    rows: int = Field(ge=1)
    columns: int = Field(ge=1)
    sparsity: float = Field(gt=0, le=1)
    layers: int = Field(ge=1)
    batch: int = Field(ge=1)
    held_out: int = Field(ge=1)
    threshold: float = Field(gt=0)


class Sensing(NamedTuple):
    """The matrix, with unit columns, and the analytic weight, both of shape (rows, columns)."""

    A: Float[Array, "m n"]
    W: Float[Array, "m n"]


class Codes(NamedTuple):
    """Sparse codes and what is measured of them, one row a problem."""

    x: Float[Array, "problems n"]
    y: Float[Array, "problems m"]


class Layers(uj.Solver):
    """`x <- soft(x - step_size W^T (A x - y), threshold)`, with two numbers for each layer."""

    step_size: Float[Array, " layers"]
    log_threshold: Float[Array, " layers"]

    def init(self, problem: Any, x0: Array) -> tuple[Array, Int[Array, ""]]:
        """The code, and the number of the layer."""
        return x0, jnp.zeros((), jnp.int32)

    def step(self, problem: Any, state: tuple) -> tuple[Array, Int[Array, ""]]:
        """One layer."""
        (sensing, y), (x, k) = problem, state
        v = x - self.step_size[k] * (sensing.W.T @ (sensing.A @ x - y))
        return uj.prox.l1(v, jnp.exp(self.log_threshold[k])), k + 1

    def read(self, state: tuple) -> Array:
        """The code."""
        return state[0]


def sense(rows: int, columns: int, seed: int) -> Sensing:
    """A Gaussian matrix, and `S^-1 a_i / (a_i^T S^-1 a_i)` with `S = A A^T` for its weight."""
    A = np.random.default_rng(seed).standard_normal((rows, columns))
    A /= np.linalg.norm(A, axis=0)
    B = np.linalg.solve(A @ A.T, A)
    return Sensing(jnp.asarray(A), jnp.asarray(B / np.sum(A * B, axis=0)))


def draw_codes(sensing: Sensing, key: Array, problems: int, sparsity: float) -> Codes:
    """Bernoulli-Gaussian codes, measured without noise."""
    where, what = jax.random.split(key)
    shape = (problems, sensing.A.shape[1])
    x = jnp.where(jax.random.bernoulli(where, sparsity, shape), jax.random.normal(what, shape), 0)
    return Codes(x, x @ sensing.A.T)


def build(config: Config) -> lab.Experiment:
    """New codes at every step; the loss is the mean square error over the mean energy."""
    gradient = config.gradient.build()
    sensing = sense(config.rows, config.columns, config.seed)
    held_out = draw_codes(sensing, jax.random.key(config.seed), config.held_out, config.sparsity)

    def sample(sensing: Sensing, key: Array) -> Codes:
        return draw_codes(sensing, key, config.batch, config.sparsity)

    def loss(layers: Layers, sensing: Sensing, codes: Codes, carry: None) -> lab.Outcome:
        solution = decode(layers, sensing, codes.y, config.layers, gradient)
        error = jnp.mean((solution.value - codes.x) ** 2) / config.sparsity
        return lab.Outcome(error, solution.status, {"nmse_db": decibel(solution.value, codes.x)})

    def finish(layers: Layers, folder: Path) -> dict[str, float]:
        values = {"learned": decode(layers, sensing, held_out.y, config.layers, uj.Detach()).value}
        for name, accelerated in (("ISTA", False), ("FISTA", True)):
            values[name] = lasso(sensing, held_out, config.layers, accelerated)
        results = {name: float(decibel(x, held_out.x)) for name, x in values.items()}
        draw(folder / "figure.png", layers, results)
        return {f"NMSE dB, {name}": value for name, value in results.items()}

    layers = Layers(jnp.ones(config.layers), jnp.full(config.layers, jnp.log(config.threshold)))
    return lab.Experiment(
        parameters=layers, data=sensing, sample=sample, loss=loss, held_out=held_out, finish=finish
    )


def decode(
    layers: Layers, sensing: Sensing, y: Array, depth: int, gradient: uj.GradientMode
) -> uj.Solution:
    """The codes of measurements, one solve a row, after all layers."""
    start = jnp.zeros(sensing.A.shape[1], y.dtype)

    def one(y: Array) -> uj.Solution:
        stop = uj.Stop(depth, tol=None)
        return uj.solve(layers, (sensing, y), start, gradient=gradient, stop=stop)

    return jax.vmap(one)(y)


def decibel(x: Array, truth: Array) -> Float[Array, ""]:
    """Normalised mean square error of all codes together, in dB."""
    return 10 * jnp.log10(jnp.sum((x - truth) ** 2) / jnp.sum(truth**2))


class Lasso(eqx.Module):
    """What ISTA and FISTA solve."""

    A: Array
    y: Array
    weight: Array

    def smooth(self, x: Array) -> Array:
        """Half the squared misfit."""
        return jnp.sum((self.A @ x - self.y) ** 2) / 2

    def prox(self, v: Array, step: Array) -> Array:
        """Soft thresholding."""
        return uj.prox.l1(v, step * self.weight)

    def penalty(self, x: Array) -> Array:
        """The weighted l1 norm."""
        return self.weight * uj.prox.l1_norm(x)


def lasso(sensing: Sensing, codes: Codes, steps: int, accelerated: bool) -> Array:
    """The codes after as many steps of ISTA or FISTA, with the best of eight weights."""
    step_size = 1 / jnp.linalg.norm(sensing.A, 2) ** 2
    solver = uj.solvers.ProximalGradient(step_size, accelerated)
    start, stop = jnp.zeros_like(codes.x[0]), uj.Stop(steps, tol=None)

    def one(weight: Array, y: Array) -> Array:
        problem = Lasso(sensing.A, y, weight)
        return uj.solve(solver, problem, start, gradient=uj.Detach(), stop=stop).value

    weights = jnp.geomspace(1e-3, 1, 8)
    found = jax.lax.map(lambda w: jax.vmap(lambda y: one(w, y))(codes.y), weights)
    return found[jnp.argmin(jax.vmap(decibel, (0, None))(found, codes.x))]


def draw(path: Path, layers: Layers, results: dict[str, float]) -> None:
    """Thresholds and step sizes by layer, and the errors."""
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    axes = figure.subplots(1, 3)
    axes[0].semilogy(np.exp(layers.log_threshold), marker=".")
    axes[1].plot(np.asarray(layers.step_size), marker=".")
    bars = axes[2].bar(list(results), list(results.values()))
    axes[2].bar_label(bars, fmt="%.1f")
    for axis, title in zip(axes, ("threshold", "step size", "held-out NMSE, dB"), strict=True):
        axis.set_title(title)
    for axis in axes[:2]:
        axis.set_xlabel("layer")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    lab.main(Config, build)
