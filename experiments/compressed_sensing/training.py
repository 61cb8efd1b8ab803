"""The experiment: how patches are drawn, what is minimised, what is reported."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from experiments.compressed_sensing import data, figure, outcome
from experiments.compressed_sensing.networks import start
from unrolljax import lab
from unrolljax.prox.wavelets import Wavelets
from unrolljax.sparse.networks import Network, decode
from unrolljax.sparse.training import Codes

if TYPE_CHECKING:
    from experiments.compressed_sensing.__main__ import Config

CHOSEN_BY = 512
"""Training patches by which the weights of the lasso are chosen."""


def build(config: "Config") -> lab.Experiment:
    """The networks see training patches, and are validated by another part of the image."""
    size = config.size
    wavelets = Wavelets((size, size), size.bit_length() - 1, config.wavelet)
    patches = data.training_patches(config.patches, size, config.seed)
    count = round(config.ratio * size**2)
    camera, prior = data.camera(
        config.measurements, patches, wavelets, count, config.noise, config.weight, config.seed
    )
    gradient = config.gradient.build()
    bench = data.Bench(camera, jnp.asarray(patches, camera.rows.dtype))
    key = jax.random.key(config.seed)
    validation = jnp.asarray(data.cut(data.window(data.VALIDATION), size), camera.rows.dtype)

    def loss(network: Network, bench: data.Bench, codes: Codes, carry: None) -> lab.Outcome:
        solution = decode(network, bench.camera.sensing, codes.y, gradient)
        error = bench.camera.error(solution.value, codes.x)
        return lab.Outcome(error, solution.status)

    def finish(network: Network, folder: Path) -> dict[str, Any]:
        crop = data.window(data.HELD_OUT)
        exposure = outcome.Exposure(camera, crop, size, jax.random.fold_in(key, 1))
        codes = camera.codes(bench.patches[:CHOSEN_BY], jax.random.fold_in(key, 2))
        found = outcome.gallery(network, exposure, codes, prior, config.layers)
        title = f"Hubble deep field, {config.measurements}, {count} numbers for {size**2} pixels"
        figure.draw(folder / "figure.png", found, network, title)
        return {
            **outcome.scores(found.pictures),
            "numbers": sum(leaf.size for leaf in jax.tree.leaves(network.layers)),
            "seconds for the crop": found.seconds,
            "patches whose lasso did not converge": found.unsolved,
        }

    return lab.Experiment(
        parameters=start(config.network, camera.sensing, prior.bands, config.layers),
        data=bench,
        sample=lambda bench, key: _sample(bench, key, config.batch),
        loss=loss,
        held_out=camera.codes(validation, jax.random.fold_in(key, 3)),
        finish=finish,
    )


def _sample(bench: data.Bench, key: Array, batch: int) -> Codes:
    which, noise = jax.random.split(key)
    chosen = jax.random.choice(which, len(bench.patches), (batch,))
    return bench.camera.codes(bench.patches[chosen], noise)
