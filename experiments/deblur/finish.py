"""After training: scores on the held-out images against classical methods, and the figure."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

import unrolljax as uj
from experiments.deblur import classical, data, modes
from experiments.deblur.figure import draw
from experiments.deblur.problem import Weights
from experiments.deblur.task import make
from unrolljax.lab import metrics

Images = dict[str, dict[str, NDArray]]


def finish(config: Any, weights: Weights, folder: Path) -> dict[str, Any]:
    """The headline numbers: scores by image, the modes, and the learned weights."""
    pictures, scores = evaluate(config, weights)
    costs = modes.compare(config, weights)
    psnr = {image: {m: s["PSNR dB"] for m, s in row.items()} for image, row in scores.items()}
    bands = np.exp(np.asarray(weights.log_weight, float)).reshape(config.scales, -1)
    curve = [line["psnr"] for line in metrics.read(folder / "metrics.jsonl")]
    draw(folder / "figure.png", pictures, psnr, bands, curve, costs)
    return {
        "exponent": float(weights.exponent),
        "fade": float(weights.fade),
        **scores,
        "one hypergradient": modes.describe(costs),
    }


def evaluate(config: Any, weights: Weights) -> tuple[Images, dict[str, Any]]:
    """Pictures of every method on the held-out images, and their PSNR and SSIM."""
    images = data.held_out()
    sigma = np.full(len(images), config.test_noise)
    task, batch = make(config, np.stack(list(images.values())), sigma, config.seed + 1)
    solution = jax.jit(lambda w: task.restore(w, batch, uj.Detach()))(weights).raise_if_failed()
    observed = np.asarray(batch.start, float)
    by_method = {"observed": observed}
    crops = data.training(config.size)
    _, seen = make(config, crops, np.full(len(crops), config.test_noise), config.seed)
    for name, (method, values) in classical.methods(config.psf_width).items():
        best = classical.tune(method, values, np.asarray(seen.start, float), crops)
        by_method[name] = np.stack([method(image, best) for image in observed])
    by_method["learned"] = np.asarray(solution.value, float)
    pictures, scores = {}, {}
    for k, (name, truth) in enumerate(images.items()):
        pictures[name] = {"truth": truth} | {m: v[k] for m, v in by_method.items()}
        scores[name] = {m: classical.scores(v[k], truth) for m, v in by_method.items()}
    return pictures, scores
