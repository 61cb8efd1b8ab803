"""Restoration by the shipped denoiser: PSNR against total variation tuned per image, and drift.

One setting of plug-and-play ADMM for each noise level, chosen on training pictures by the part
`setting`. The data are Set6 (cameraman, house, monarch, butterfly, leaves, starfish) and a crop of
the Hubble deep field.
"""

from typing import Any

import dm_pix
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import unrolljax as uj
from benchmarks.imaging._cases import Case, blurred_hubble, blurred_set6
from benchmarks.imaging._settings import SETTINGS, Tuned, denoiser
from benchmarks.parts import Row
from unrolljax.imaging.data_terms import Gaussian
from unrolljax.imaging.denoisers import Equivariant
from unrolljax.imaging.operators import Blur
from unrolljax.imaging.priors import TotalVariation
from unrolljax.imaging.restoration import Restoration
from unrolljax.imaging.solvers import PnPADMM, restore

PART, ITERATIONS, LONG, EVERY = "quality", 60, 1000, 10
TARGETS = {"Set6, G": 28.8, "Set6, Levin 2": 30.5, "Set6, Levin 4": 26.5, "Hubble": 31.8}
TV_WEIGHTS, TV_PENALTY, TV_ITERATIONS = np.geomspace(0.02, 0.3, 9), 10.0, 200
"""The weights times sigma are those of `|A x - y|^2 / 2 + sigma weight TV(x)`."""


def run(quick: bool) -> list[Row]:
    """Every case; the data's absence is told."""
    prior = denoiser()
    try:
        cases = blurred_set6()
    except FileNotFoundError as absent:
        return [Row(PART, "all", f"skipped: {absent.filename} is not here")]
    cases = cases[:1] if quick else [*cases, blurred_hubble()]
    return [row for case in cases for row in _rows(case, prior, 100 if quick else LONG)]


def _rows(case: Case, prior: Equivariant, steps: int) -> list[Row]:
    tuned = SETTINGS[round(255 * case.noise, 2)]
    course = np.asarray(_course(case, prior, tuned, steps))
    found = course[:, ITERATIONS // EVERY - 1]
    by_tv = np.max([_psnr_of_tv(case, float(weight)) for weight in TV_WEIGHTS], axis=0)
    target = next(value for name, value in TARGETS.items() if case.name.startswith(name))
    gain = found.mean() - by_tv.mean()
    drift = (course.max(1) - course[:, ITERATIONS // EVERY - 1 :].min(1)).max()
    blurred = np.mean([_psnr(x, y) for x, y in zip(case.truth, case.y, strict=True)])
    return [
        Row(PART, f"{case.name}, measured", f"{blurred:.2f} dB"),
        Row(PART, f"{case.name}, TV, best weight per image", f"{by_tv.mean():.2f} dB"),
        _at_least(f"{case.name}, plug-and-play", found.mean(), target),
        _at_least(f"{case.name}, over TV", gain, 0.3),
        Row(
            PART,
            f"{case.name}, lost from step {ITERATIONS} to {steps}, worst",
            f"{drift:.2f} dB",
            "<= 0.3 dB",
            bool(drift <= 0.3),
        ),
    ]


def _course(case: Case, prior: Equivariant, tuned: Tuned, steps: int) -> Float[Array, "images n"]:
    """PSNR after every tenth iteration, of each picture."""

    @eqx.filter_jit
    def one(solver: PnPADMM, problem: Restoration, truth: Array) -> Array:
        v = solver.unknown(problem, problem.data.start())

        def some(v: Array, _: Any) -> tuple[Array, Array]:
            stop = uj.Stop(EVERY, tol=None)
            v = uj.solve(solver, problem, v, gradient=uj.Detach(), stop=stop).value
            return v, _psnr(truth, solver.image(problem, v)[..., 0])

        return jax.lax.scan(some, v, length=steps // EVERY)[1]

    noise = np.float32(case.noise)
    solver = tuned.solver(noise)
    pairs = zip(case.truth, case.y, strict=True)
    return jnp.stack([one(solver, _problem(case, y, prior), jnp.asarray(x)) for x, y in pairs])


def _psnr_of_tv(case: Case, weight: float) -> list[float]:
    solver = uj.solvers.ADMM(jnp.float32(TV_PENALTY / case.noise))
    found = []
    for x, y in zip(case.truth, case.y, strict=True):
        problem = _problem(case, y, TotalVariation(), jnp.float32(weight / case.noise))
        found.append(float(_psnr(jnp.asarray(x), _by_tv(solver, problem)[..., 0])))
    return found


@eqx.filter_jit
def _by_tv(solver: uj.Solver, problem: Restoration) -> Array:
    stop = uj.Stop(TV_ITERATIONS, tol=None)
    return restore(solver, problem, gradient=uj.Detach(), stop=stop).value


def _problem(case: Case, y: Any, prior: Any, weight: Any = 1.0) -> Restoration:
    operator = Blur(case.kernel, (*y.shape, 1))
    return Restoration(Gaussian(operator, y[..., None], np.float32(case.noise)), prior, weight)


def _psnr(truth: Any, image: Any) -> Any:
    return dm_pix.psnr(jnp.asarray(truth)[..., None], jnp.asarray(image)[..., None])


def _at_least(name: str, value: float, least: float) -> Row:
    return Row(PART, name, f"{value:.2f} dB", f">= {least} dB", bool(value >= least))
