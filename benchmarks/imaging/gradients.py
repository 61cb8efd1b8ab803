"""Implicit gradients of plug-and-play solvers with a network: against unrolling, and their memory.

A network that is non-expansive by theorem (`Averaged`) restores a blurred picture of 48 x 48 pixels
by each solver, in float64. The mean squared error is differentiated in the network, the solver's
numbers and the whole problem: implicitly at a tolerance of 1e-6, and by 300 unrolled steps.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

import unrolljax as uj
from benchmarks.parts import Row
from unrolljax.imaging import psf
from unrolljax.imaging.data_terms import Gaussian
from unrolljax.imaging.denoisers import Averaged, initialised
from unrolljax.imaging.operators import Blur
from unrolljax.imaging.restoration import Restoration
from unrolljax.imaging.solvers import (
    HalfQuadratic,
    PlugAndPlay,
    PnPADMM,
    PnPPrimalDual,
    PnPProximalGradient,
    restore,
)
from unrolljax.imaging.training.images import grey

PART, SIZE, NOISE, UNROLLED, TOLERANCE = "gradients", 48, 0.05, 300, 1e-6

Theta = tuple[PlugAndPlay, Restoration]


def run(quick: bool) -> list[Row]:
    """Error and memory of each solver."""
    with jax.enable_x64(True):
        problem = _problem()
        solvers = _solvers(problem)
        names = ["ADMM"] if quick else list(solvers)
        return [row for name in names for row in _rows(name, (solvers[name], problem))]


def _rows(name: str, theta: Theta) -> list[Row]:
    implicit = uj.Implicit(tol=TOLERANCE)
    exact, _ = _gradient(theta, uj.Unroll(), uj.Stop(UNROLLED, tol=None))
    found, solution = _gradient(theta, implicit, uj.Stop(1000, tol=TOLERANCE))
    error = _error(found, exact, theta)
    memory = [_temporary(theta, implicit, uj.Stop(n, tol=TOLERANCE)) for n in (10, 100)]
    taped = _temporary(theta, uj.Unroll(), uj.Stop(100, tol=None))
    growth, status = memory[1] / memory[0], uj.Status(int(solution.status)).name
    told = f"{memory[1] / 1e6:.1f} MB, unrolled {taped / 1e6:.1f}"
    return [
        Row(
            PART,
            f"{name}, implicit off {UNROLLED} unrolled steps",
            f"{error:.0e}, {int(solution.steps)} steps, {status}",
            "<= 1e-4",
            bool(error <= 1e-4),
        ),
        Row(PART, f"{name}, memory at 100 iterations", told),
        Row(PART, f"{name}, over that at 10", f"{growth:.2f}", "<= 1.1", growth <= 1.1),
    ]


def _truth() -> Array:
    cut = grey("camera")[100 : 100 + 4 * SIZE, 180 : 180 + 4 * SIZE]
    return jnp.asarray(cut.reshape(SIZE, 4, SIZE, 4).mean((1, 3))[..., None], float)


def _problem() -> Restoration:
    truth = _truth()
    blur = Blur(psf.gaussian(9, 1.0), truth.shape)  # pyright: ignore
    noise = NOISE * np.random.default_rng(0).standard_normal(truth.shape)
    network = initialised(Averaged(depth=4, width=8), jax.random.key(0), dtype=jnp.dtype(float))
    # Weights as they start are a permutation of pixels: some noise makes them a network.
    rng = np.random.default_rng(1)
    network = jax.tree.map(lambda v: v + 0.1 * rng.standard_normal(v.shape), network)
    return Restoration(Gaussian(blur, blur(truth) + noise, NOISE), network)


def _solvers(problem: Restoration) -> dict[str, PlugAndPlay]:
    sigma, noise = jnp.asarray(0.1), jnp.asarray(NOISE)
    return {
        "ADMM": PnPADMM(2 * noise**2, sigma),
        "half-quadratic": HalfQuadratic(4 * noise**2, sigma),
        "proximal gradient": PnPProximalGradient(1 / problem.data.lipschitz(), sigma),
        "primal-dual": PnPPrimalDual(noise**2, 0.95 / noise**2, sigma),
    }


def _loss(theta: Theta, mode: uj.GradientMode, stop: uj.Stop) -> tuple[Array, uj.Solution]:
    solution = restore(*theta, gradient=mode, stop=stop)
    return jnp.mean((solution.value - _truth()) ** 2), solution


@eqx.filter_jit
def _gradient(theta: Theta, mode: uj.GradientMode, stop: uj.Stop) -> Any:
    return eqx.filter_grad(_loss, has_aux=True)(theta, mode, stop)


def _temporary(theta: Theta, mode: uj.GradientMode, stop: uj.Stop) -> int:
    compiled: Any = _gradient.lower(theta, mode, stop).compile()  # pyright: ignore
    return compiled.compiled.memory_analysis().temp_size_in_bytes


def _error(found: Theta, exact: Theta, theta: Theta) -> float:
    """The largest relative error over the arrays, of derivatives in their logarithms.

    One that is a millionth of the others is compared on their scale.
    """
    leaves = [jax.tree.leaves(eqx.filter(tree, eqx.is_inexact_array)) for tree in (found, exact)]
    sizes = [float(jnp.linalg.norm(v)) for v in jax.tree.leaves(eqx.filter(theta, eqx.is_array))]
    gaps = [float(jnp.linalg.norm(a - b)) for a, b in zip(*leaves, strict=True)]
    slopes = [float(jnp.linalg.norm(b)) for b in leaves[1]]
    scales = [slope * size for slope, size in zip(slopes, sizes, strict=True)]
    least = 1e-6 * max(scales)
    pairs = zip(gaps, sizes, scales, strict=True)
    return max(g * n / (s if s > least else max(scales)) for g, n, s in pairs)
