"""How the settings of `quality` were chosen: the best of a few, on pictures of training.

Photographs, dead leaves and night skies of 128 x 128 pixels, blurred by two Gaussians and by two
random motions (only those at the stronger noise), restored by 40 iterations.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import unrolljax as uj
from benchmarks.imaging._settings import SETTINGS, Tuned, denoiser
from benchmarks.parts import Row
from unrolljax.imaging import Restoration, psf, restore
from unrolljax.imaging.data_terms import Gaussian
from unrolljax.imaging.denoisers import Equivariant
from unrolljax.imaging.operators import Blur
from unrolljax.imaging.solvers import PnPADMM
from unrolljax.imaging.training.images import tiles

PART, ITERATIONS, SEED = "setting", 40, 7
TRIED = {
    2.55: (Tuned(3, 16), Tuned(4, 24), Tuned(5, 32), Tuned(6, 40), Tuned(6, 64)),
    7.65: (Tuned(1.5, 6), Tuned(2, 8), Tuned(3, 12), Tuned(3, 16)),
}


def run(quick: bool) -> list[Row]:
    """The mean PSNR of every setting that was tried."""
    pictures, prior = _pictures(2 if quick else 5), denoiser()
    rows = []
    for level, settings in TRIED.items():
        kernels = _kernels(blurs=level == 2.55)
        found = {tuned: _mean(tuned, level / 255, kernels, pictures, prior) for tuned in settings}
        best = max(found, key=lambda tuned: found[tuned])
        for tuned, psnr in found.items():
            verdict = (tuned == best) if tuned == SETTINGS[level] else None
            name = f"noise {level}, strength {tuned.strength:g}, step {tuned.step:g}"
            rows.append(Row(PART, name, f"{psnr:.2f} dB", "the best" if verdict is not None else "",
                            None if quick else verdict))  # fmt: skip
    return rows


def _mean(
    tuned: Tuned, noise: float, kernels: list[Array], pictures: Array, prior: Equivariant
) -> float:
    solver = tuned.solver(noise)
    return float(np.mean([_psnr(solver, k, pictures, jnp.float32(noise), prior) for k in kernels]))


@eqx.filter_jit
def _psnr(
    solver: PnPADMM, kernel: Array, pictures: Array, noise: Array, prior: Equivariant
) -> Float[Array, ""]:
    def one(truth: Array, key: Array) -> Array:
        blur = Blur(kernel, truth.shape)  # pyright: ignore
        y = blur(truth) + noise * jax.random.normal(key, truth.shape)
        problem = Restoration(Gaussian(blur, y, noise), prior)
        stop = uj.Stop(ITERATIONS, tol=None)
        found = restore(solver, problem, gradient=uj.Detach(), stop=stop).value
        return -10 * jnp.log10(jnp.mean((found - truth) ** 2))

    keys = jax.random.split(jax.random.key(0), len(pictures))
    return jnp.mean(jax.lax.map(lambda pair: one(*pair), (pictures, keys)))


def _kernels(blurs: bool) -> list[Array]:
    motions = [
        psf.random_motion(jax.random.key(k), 25, spread) for k, spread in ((1, 3.0), (2, 4.0))
    ]
    gaussians = [psf.gaussian(25, width) for width in (1.6, 2.0)] if blurs else []
    return [kernel.astype(jnp.float32) for kernel in (*gaussians, *motions)]


def _pictures(count: int) -> Float[Array, "pictures 128 128 1"]:
    """So many photographs, dead leaves and night skies each."""
    kinds = [tiles(count, drawn=d, skies=s, seed=SEED) for d, s in ((0, 0), (1, 0), (0, 1))]
    return jnp.asarray(np.concatenate(kinds), jnp.float32)[..., None] / 255
