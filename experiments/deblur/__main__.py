"""Learn the weights of a deblurring prior by differentiating through the solver.

The gradient mode is one word on the command line: `gradient=unroll`, `truncated`, `implicit`.
"""

import dataclasses
import json
import sys
import time
from pathlib import Path

import hydra
import jax
import jax.numpy as jnp
import numpy as np
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

import unrolljax as uj
from experiments.deblur import classical, data
from experiments.deblur.figure import draw
from experiments.deblur.learn import Learned, ModeCost, Task, cost, learn
from experiments.deblur.problem import Weights, initial_weights

CONFIGS = str(Path(__file__).parents[2] / "configs")


@hydra.main(version_base=None, config_path=CONFIGS, config_name="deblur")
def main(config: DictConfig) -> None:
    """Train, compare, print, and write figure and result into the run folder."""
    begun = time.perf_counter()
    folder = Path(HydraConfig.get().runtime.output_dir)
    learned = train(config)
    tables = evaluate(config, learned.weights)
    modes = compare_modes(config, learned.weights)
    result = {
        "command": "python -m experiments.deblur " + " ".join(sys.argv[1:]),
        "scores": tables["scores"],
        "modes": describe_modes(modes, reference="unroll"),
        "training_psnr": learned.curve,
        "statuses": learned.statuses,
        "exponent": float(learned.weights.exponent),
        "fade": float(learned.weights.fade),
        "weights": np.exp(np.asarray(learned.weights.log_weight, float)).tolist(),
        "seconds": time.perf_counter() - begun,
    }
    psnr = {k: {m: s[0] for m, s in v.items()} for k, v in tables["scores"].items()}
    bands = np.reshape(result["weights"], (config.scales, -1))
    draw(folder / "figure.png", tables["pictures"], psnr, bands, learned.curve, modes)
    (folder / "result.json").write_text(json.dumps(result, indent=1))
    report(result, folder)


def train(config: DictConfig) -> Learned:
    """Learn the weights on the training images."""
    truth = data.training(config.size)
    sigma = np.resize(np.asarray(config.training_noise), len(truth))
    task, start = make_task(config, truth, sigma, seed=config.seed)
    gradient = hydra.utils.instantiate(config.gradient, _convert_="all")
    weights = initial_weights(config.scales, config.initial_weight)
    return learn(task, weights, start, gradient, config.steps, config.learning_rate)


def make_task(config: DictConfig, truth: np.ndarray, sigma: np.ndarray, seed: int):
    """Observe images and wrap what is needed to restore them; also the start of the solver."""
    observation = data.observe(truth, sigma, config.missing, config.psf_width, seed)
    observation = jax.tree.map(jnp.asarray, observation)
    stop = uj.Stop(config.stop.max_steps, config.stop.tol)
    images = jnp.asarray(truth, jnp.float32)
    task = Task(observation, images, config.smoothing, config.momentum, stop, config.scales)
    start = data.fill(np.asarray(observation.data), np.asarray(observation.valid))
    return task, jnp.asarray(start, jnp.float32)


def evaluate(config: DictConfig, weights: Weights) -> dict:
    """PSNR, SSIM and pictures of every method on the held-out images."""
    images = data.held_out()
    sigma = np.full(len(images), config.test_noise)
    task, start = make_task(config, np.stack(list(images.values())), sigma, config.seed + 1)
    solution = jax.jit(lambda w: task.restore(w, start, uj.Detach()))(weights).raise_if_failed()
    observed = np.asarray(start, float)
    by_method = {"observed": observed}
    for name, (method, values) in classical.methods(config.psf_width).items():
        crops = data.training(config.size)
        noise = np.full(len(crops), config.test_noise)
        _, seen = make_task(config, crops, noise, config.seed)
        best = classical.tune(method, values, np.asarray(seen, float), crops)
        by_method[name] = np.stack([method(image, best) for image in observed])
    by_method["learned"] = np.asarray(solution.value, float)
    pictures, scores = {}, {}
    for k, (name, truth) in enumerate(images.items()):
        pictures[name] = {"truth": truth} | {m: v[k] for m, v in by_method.items()}
        scores[name] = {m: classical.scores(v[k], truth) for m, v in by_method.items()}
    return {"pictures": pictures, "scores": scores}


def compare_modes(config: DictConfig, weights: Weights) -> dict[str, ModeCost]:
    """The same hypergradient by each mode, on one training crop, from a cold start."""
    truth = data.training(config.size)[:1]
    task, start = make_task(config, truth, np.full(1, config.test_noise), config.seed)
    task = dataclasses.replace(task, stop=uj.Stop(config.stop.max_steps, config.compare_tol))
    modes = {name: hydra.utils.instantiate(mode) for name, mode in config.compare.items()}
    return {name: cost(task, weights, start, mode) for name, mode in modes.items()}  # pyright: ignore


def describe_modes(modes: dict[str, ModeCost], reference: str) -> dict[str, dict]:
    """Cost and agreement of each mode with the reference, as plain data."""
    exact = modes[reference].gradient
    described = {}
    for name, mode in modes.items():
        size = np.linalg.norm(mode.gradient) * np.linalg.norm(exact)
        described[name] = {
            "difference": float(np.linalg.norm(mode.gradient - exact) / np.linalg.norm(exact)),
            "cosine": float(mode.gradient @ exact / size),
            "seconds": mode.seconds,
            "compile_seconds": mode.compile_seconds,
            "temporary_megabytes": mode.megabytes,
            "status": mode.status,
        }
    return described


def report(result: dict, folder: Path) -> None:
    """Print the tables."""
    for image, by_method in result["scores"].items():
        print(f"\n{image:24} PSNR dB   SSIM")
        for method, (psnr, ssim) in by_method.items():
            print(f"  {method:22} {psnr:7.2f}  {ssim:6.3f}")
    print("\none hypergradient  difference   cosine  seconds  temporary MB  status")
    for name, mode in result["modes"].items():
        numbers = f"{mode['difference']:11.1e}  {mode['cosine']:7.4f}  {mode['seconds']:7.2f}"
        print(f"  {name:15} {numbers}  {mode['temporary_megabytes']:12.1f}  {mode['status']}")
    print(f"\ninner solves in training: {result['statuses']}")
    print(f"{result['seconds']:.0f} s; figure and result.json in {folder}")


if __name__ == "__main__":
    main()
