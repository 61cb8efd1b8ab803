"""Three ways to restore one tile of one channel, and all their numbers."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import unrolljax as uj
from unrolljax.imaging.data_terms import Gaussian, Poisson, ShiftedPoisson
from unrolljax.imaging.operators import Compose, Identity, Inpainting, Operator, ValidBlur
from unrolljax.imaging.priors import TotalVariation
from unrolljax.imaging.restoration import Restoration
from unrolljax.imaging.solvers import PnPADMM, RichardsonLucy, restore

NUMBERS: dict[str, dict[str, float]] = {
    "pnp": {"sigma": 0.06, "step size / sigma^2": 1.5, "steps": 100, "tolerance": 2e-3},
    "tv": {"weight * noise": 0.15, "steps": 2000, "tolerance": 3e-4},
    "richardson-lucy": {"steps": 30},
}
"""The numbers of each method for blurred pictures, in grey values.

The noise is that of the median pixel; plug-and-play's sigma is never below it. Without a tolerance
all steps are taken.
"""

NUMBERS_WITHOUT_BLUR: dict[str, dict[str, float]] = {
    "pnp": {"sigma": 0.0, "step size / sigma^2": 1.0, "steps": 200, "tolerance": 1e-3},
    "tv": {"weight * noise": 0.8},
}
"""What is different where there is no blur; with these, plug-and-play is the denoiser itself."""

Tile = Float[Array, "height width 1"]
Kernel = Float[Array, "rows columns"] | None


def numbers(method: str, blurred: bool) -> dict[str, float]:
    """The numbers with which a method runs."""
    return NUMBERS[method] | ({} if blurred else NUMBERS_WITHOUT_BLUR[method])


def restorer(
    method: str, denoiser: Any, kernel: Kernel, noise: Array, readout: Array, peak: Array | None
) -> Callable[[Tile, Tile], uj.Solution]:
    """A function of a tile's grey values and deviations, infinite where nothing was seen.

    Its solution's value is the tile's scene, wider than the tile by the kernel's radius. The same
    program serves all tiles of a size, whatever the numbers.
    """
    if method == "pnp":
        return partial(_plug_and_play, denoiser, kernel, noise)
    if method == "tv":
        return partial(_total_variation, kernel, noise)
    return partial(_richardson_lucy, kernel, noise, readout, peak)


@jax.jit
def _plug_and_play(
    denoiser: Any, kernel: Kernel, noise: Array, y: Tile, deviation: Tile
) -> uj.Solution:
    found = numbers("pnp", kernel is not None)
    data = Gaussian.weighted(_blur(kernel, y), y, deviation)
    sigma = jnp.maximum(found["sigma"], noise)
    step_size = found["step size / sigma^2"] * sigma**2
    solver = PnPADMM(step_size=step_size, sigma=sigma)
    start = data.prox(_scene(kernel, y), step_size)
    return _solve(solver, Restoration(data, denoiser), start, found)


@jax.jit
def _total_variation(kernel: Kernel, noise: Array, y: Tile, deviation: Tile) -> uj.Solution:
    found = numbers("tv", kernel is not None)
    data = Gaussian.weighted(_blur(kernel, y), y, deviation)
    problem = Restoration(data, TotalVariation(), found["weight * noise"] / noise)
    # The kernel sums to one and the squared norm of differences is 8.
    steepest = 1 / jnp.minimum(jnp.min(deviation), noise) ** 2
    solver = uj.solvers.PrimalDual(primal_size=1 / steepest, dual_size=steepest / 16)
    return _solve(solver, problem, _scene(kernel, y), found)


@jax.jit
def _richardson_lucy(
    kernel: Kernel, noise: Array, readout: Array, peak: Array | None, y: Tile, deviation: Tile
) -> uj.Solution:
    blur, seen = _blur(kernel, y), jnp.isfinite(deviation).astype(y.dtype)
    operator = Compose(Inpainting(seen, blur.measured().shape), blur)
    if peak is None:
        data = Poisson(operator, seen * jnp.maximum(y, 0))
    else:
        data = ShiftedPoisson(operator, seen * peak * y, peak * readout, peak=peak)
    level = jnp.maximum(jnp.mean(y), noise)
    start = jnp.broadcast_to(level, operator.shape)
    return _solve(RichardsonLucy(), Restoration(data), start, numbers("richardson-lucy", True))


def _solve(
    solver: uj.Solver, problem: Restoration, start: Array, found: dict[str, float]
) -> uj.Solution:
    stop = uj.Stop(int(found["steps"]), found.get("tolerance"))
    return restore(solver, problem, start, gradient=uj.Detach(), stop=stop)


def _blur(kernel: Kernel, y: Tile) -> Operator:
    """What measures a tile: blur with real borders, or nothing at all."""
    height, width, _ = y.shape
    if kernel is None:
        return Identity((height, width, 1))
    rows, columns = kernel.shape
    return ValidBlur(kernel, (height + rows - 1, width + columns - 1, 1))


def _scene(kernel: Kernel, y: Tile) -> Tile:
    """The tile and its mirror image where the kernel reaches beyond it."""
    if kernel is None:
        return y
    rows, columns = (n // 2 for n in kernel.shape)
    return jnp.pad(y, ((rows, rows), (columns, columns), (0, 0)), mode="symmetric")
