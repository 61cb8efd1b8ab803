"""The experiment: a network, pictures, a loss, and what is measured in the end."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from experiments.denoiser import outcome
from unrolljax import lab
from unrolljax.imaging.denoisers.drunet import DRUNet
from unrolljax.imaging.denoisers.learned import Learned, initialised
from unrolljax.imaging.denoisers.pretrained import save
from unrolljax.imaging.training.denoising import Pairs, denoising_loss, pairs, patches
from unrolljax.imaging.training.images import tiles
from unrolljax.lab import metrics

if TYPE_CHECKING:
    from experiments.denoiser.__main__ import Config


def build(config: "Config") -> lab.Experiment:
    """The loss is the mean absolute error of denoised patches over the root of the noise."""
    network = DRUNet(tuple(config.widths), config.blocks)

    def sample(squares: Array, key: Array) -> Pairs:
        cut, noise = jax.random.split(key)
        dtype = jnp.zeros(()).dtype
        clean = patches(squares, cut, config.batch, config.patch, dtype)
        return pairs(clean, noise, config.strongest)

    def loss(denoiser: Learned, squares: Array, batch: Pairs, carry: None) -> lab.Outcome:
        return lab.Outcome(denoising_loss(denoiser, batch))

    def finish(denoiser: Learned, folder: Path) -> dict[str, Any]:
        psnr = outcome.psnr(denoiser)
        recipe = {"command": "python -m experiments.denoiser", **config.model_dump(mode="json")}
        save(folder / "drunet", denoiser, {"psnr": psnr, "recipe": recipe})
        lines = metrics.read(folder / "metrics.jsonl")
        outcome.draw(folder / "figure.png", denoiser, [line["loss"] for line in lines])
        return {"PSNR dB, camera": psnr, "numbers": _count(denoiser)}

    pictures = tiles(config.tiles, drawn=config.drawn, skies=config.skies, seed=config.seed)
    return lab.Experiment(
        parameters=initialised(network, jax.random.key(config.seed)),
        data=jnp.asarray(pictures),
        sample=sample,
        loss=loss,
        finish=finish,
    )


def _count(denoiser: Learned) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(denoiser.parameters))
