"""The experiment: how pictures are drawn and measured, what is minimised, what is reported."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from experiments.mri import data, figure, outcome
from unrolljax import lab
from unrolljax.imaging.denoisers import Equivariant
from unrolljax.imaging.denoisers.pretrained import pretrained
from unrolljax.imaging.scores import scores
from unrolljax.imaging.training import Equilibrium, Halves, Measured, Restorer, Splitting
from unrolljax.imaging.training.denoising import patches
from unrolljax.imaging.training.images import tiles
from unrolljax.lab import metrics

if TYPE_CHECKING:
    from experiments.mri.__main__ import Config

Tiles = UInt8[Array, "tiles size size"]

CHOSEN_BY = 4
"""Training scans by which the weights of the priors are chosen."""


def build(config: "Config") -> lab.Experiment:
    """The loss, in dB, is the error, or without truths the misfit of what is held back.

    The denoiser is the package's own; evaluations are on crops of the cameraman.
    """
    scanner = data.Scanner(config.mask, config.acceleration, config.centre, config.noise)
    gradient, stop = config.gradient.build(), config.stop.build()
    misfit = 2 * config.noise**2
    objective = {
        "truth": Equilibrium(gradient, stop, config.penalty),
        "splitting": Splitting(gradient, stop, config.penalty / misfit),
    }[config.supervision]
    start = Restorer.start(config.solver.build(), Equivariant(pretrained(), views=2))
    squares = jnp.asarray(tiles(config.tiles, max(config.crop, 128), seed=config.seed))
    picture = data.held_out(config.size)
    key = jax.random.key(config.seed)

    def sample(squares: Tiles, key: Array) -> Measured | Halves:
        drawn, split = jax.random.split(key)
        scans = measured(scanner, squares, drawn, config.batch, config.crop)
        if config.supervision == "truth":
            return scans
        keys = jax.random.split(split, config.batch)
        return eqx.filter_vmap(lambda s, k: scanner.split(s, k, config.share))(scans.data, keys)

    def loss(restorer: Restorer, squares: Tiles, batch: Any, carry: None) -> lab.Outcome:
        error, status = objective(restorer, squares, batch)
        return lab.Outcome(jnp.mean(decibels(error)), status)

    def finish(restorer: Restorer, folder: Path) -> dict[str, Any]:
        truth = jnp.asarray(picture, jnp.zeros(()).dtype)[..., None]
        scan = scanner.scan(truth, jax.random.fold_in(key, 1))
        chosen = measured(scanner, squares, jax.random.fold_in(key, 2), CHOSEN_BY, config.crop)
        found = outcome.gallery(start, restorer, stop, scan, truth, chosen)
        by_method = {
            name: scores(image[..., None], truth)
            for name, image in found.pictures.items()
            if name != "truth"
        }
        lines = metrics.read(folder / "metrics.jsonl")
        figure.draw(folder / "figure.png", found, by_method, lines)
        solver = {n: float(v) for n, v in vars(restorer.solver).items()}
        return {**by_method, "solver": solver, "status": found.status}

    seen = np.round(255 * picture).astype(np.uint8)
    return lab.Experiment(
        parameters=start,
        data=squares,
        sample=sample,
        loss=loss,
        held_out=sample(jnp.asarray(seen)[None], jax.random.fold_in(key, 3)),
        finish=finish,
    )


def measured(scanner: data.Scanner, squares: Tiles, key: Array, count: int, size: int) -> Measured:
    """Scans of random crops, each with a mask and noise of its own."""
    cut, scan = jax.random.split(key)
    truth = patches(squares, cut, count, size, jnp.zeros(()).dtype)
    return Measured(eqx.filter_vmap(scanner.scan)(truth, jax.random.split(scan, count)), truth)


def decibels(error: Float[Array, " problems"]) -> Float[Array, " problems"]:
    """Errors in dB: those of printed text are a hundred times those of a sky, and would rule."""
    return 10 * jnp.log10(error)
