"""Train a learned ISTA with analytic weights (ALISTA, Liu et al. 2019) on sparse codes.

Every layer has a step size and a threshold of its own; the problems of a batch are shared by all
devices. The gradient mode is one word: `gradient=unroll`, or `truncated` with a `depth`.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
from jaxtyping import Array
from pydantic import Field

import unrolljax as uj
from experiments.lista.baseline import lasso
from experiments.lista.codes import Codes, Sensing, decibel, draw_codes, sense
from experiments.lista.figure import draw
from experiments.lista.layers import Layers, decode
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


if __name__ == "__main__":
    lab.main(Config, build)
