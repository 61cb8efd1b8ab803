"""What the held-out crop looks like after each method, and how far from the truth."""

import time
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from experiments.compressed_sensing import classical
from experiments.compressed_sensing.data import Camera, Prior, cut, join
from unrolljax.core.status import Status
from unrolljax.sparse.networks import Network, after_each_layer, decode
from unrolljax.sparse.training import Codes, lasso_codes_by_step

CONVERGED = {"max_steps": 5000, "tol": 1e-5}


class Gallery(NamedTuple):
    """The crop as each method restores it, PSNR in dB after each step, and how it was done."""

    pictures: dict[str, NDArray]
    curves: dict[str, list[float]]
    seconds: float
    unsolved: int


class Exposure:
    """One measurement of an image, patch by patch, and the pictures made of codes."""

    def __init__(self, camera: Camera, image: NDArray, size: int, key: Array):
        self.camera, self.image, self.size = camera, image, size
        y = camera.expose(jnp.asarray(cut(image, size), camera.rows.dtype), key)
        self.y, self.mean, self.everything = y[:, 1:], y[:, 0], y

    def picture(self, x: Array) -> NDArray:
        """The image of codes (patches, unknowns)."""
        return self.image_of(self.camera.develop(x, self.mean))

    def image_of(self, patches: Array) -> NDArray:
        """The image of patches (patches, pixels)."""
        return join(np.asarray(patches, float), self.image.shape, self.size)

    def curve(self, codes: Array) -> list[float]:
        """PSNR of the codes (steps, patches, unknowns) after each step."""
        return [psnr(self.image, self.picture(x)) for x in codes]


def gallery(
    network: Network, exposure: Exposure, training: Codes, prior: Prior, depth: int
) -> Gallery:
    """Every method on one exposure; the weights of the lasso are the best on training codes."""
    camera, y = exposure.camera, exposure.y
    layers = after_each_layer(network, camera.sensing, y, depth)
    curves, pictures = {"learned": exposure.curve(layers)}, {"truth": exposure.image}
    pictures["back-projection"] = exposure.image_of(exposure.everything @ camera.rows)
    pictures["linear (Wiener)"] = exposure.picture(y @ jnp.asarray(prior.linear, y.dtype))
    for name, accelerated in (("ISTA", False), ("FISTA", True)):
        weight = classical.best_weight(camera, training, prior.scale, depth, accelerated)
        steps = lasso_codes_by_step(camera.sensing, y, weight, depth, accelerated)
        curves[name] = exposure.curve(steps)
        pictures[f"{name}, {depth} steps"] = exposure.picture(steps[-1])
    weight = classical.best_weight(camera, training, prior.scale, 300, accelerated=True)
    solved = classical.converged(camera.sensing, y, weight, **CONVERGED)
    pictures["FISTA, converged"] = exposure.picture(solved.value)
    pictures[f"learned, {depth} layers"] = exposure.picture(layers[-1])
    unsolved = int(np.sum(np.asarray(solved.status) != Status.CONVERGED))
    return Gallery(pictures, curves, _seconds(network, camera, y), unsolved)


def psnr(truth: NDArray, found: NDArray) -> float:
    """Peak signal to noise ratio in dB; the peak is 1."""
    return float(peak_signal_noise_ratio(truth, found, data_range=1.0))


def ssim(truth: NDArray, found: NDArray) -> float:
    """Structural similarity."""
    return float(np.asarray(structural_similarity(truth, found, data_range=1.0)))


def scores(pictures: dict[str, NDArray]) -> dict[str, dict[str, float]]:
    """PSNR and SSIM by method."""
    truth = pictures["truth"]
    return {
        name: {"PSNR": psnr(truth, found), "SSIM": ssim(truth, found)}
        for name, found in pictures.items()
        if name != "truth"
    }


def _seconds(network: Network, camera: Camera, y: Array) -> float:
    """Wall time of decoding all patches, compiled before."""
    run = eqx.filter_jit(lambda network, camera, y: decode(network, camera.sensing, y).value)
    jax.block_until_ready(run(network, camera, y))
    begun = time.perf_counter()
    jax.block_until_ready(run(network, camera, y))
    return time.perf_counter() - begun
