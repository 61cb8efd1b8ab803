"""The deblurring experiment: telescope, hypergradients, configs, and a tiny run from end to end."""

import json
import subprocess
import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unrolljax as uj
from experiments.deblur import classical, skies
from experiments.deblur.__main__ import Config
from experiments.deblur.telescope import Telescope
from unrolljax.imaging.denoisers import Equivariant
from unrolljax.imaging.solvers import PnPADMM
from unrolljax.imaging.training import EndToEnd, Restorer
from unrolljax.lab.config.validate import load

ROOT = Path(__file__).parents[2]
RANDOM = np.random.default_rng(0)
SCENE = jnp.asarray(RANDOM.uniform(0.1, 0.9, size=(32, 32, 1)))


class Smoother(eqx.Module):
    """Moves each pixel towards its neighbours, by less than sigma: averaged, and smooth."""

    share: jax.Array

    def __call__(self, x, sigma):
        around = sum(jnp.roll(x, s, axis) for s in (-1, 1) for axis in (0, 1)) / 4
        return x - self.share * sigma * jnp.tanh((x - around) / sigma)


@pytest.fixture(scope="module")
def telescope():
    return Telescope.pointed(4.0, 1000.0, 20.0, 0.1)


def test_counts_have_the_mean_and_the_variance_of_light_through_the_kernel(telescope):
    keys = jax.random.split(jax.random.key(0), 2000)
    exposures = jax.jit(jax.vmap(lambda key: telescope.expose(SCENE, key)))(keys)
    counts, seen = (np.asarray(v) for v in exposures)
    assert np.mean(seen) == pytest.approx(0.9, abs=0.01)
    kernel = np.asarray(telescope.kernel)
    reach = len(kernel) // 2
    shifts = [(i, j) for i in range(-reach, reach + 1) for j in range(-reach, reach + 1)]
    blurred = sum(kernel[reach + i, reach + j] * np.roll(SCENE, (i, j), (0, 1)) for i, j in shifts)
    rate = 1000 * blurred + 20
    mean = np.sum(counts, 0) / np.sum(seen, 0)
    np.testing.assert_allclose(mean, rate, atol=5 * np.sqrt(rate.max() / 1700))
    variance = np.sum(np.where(seen > 0, (counts - rate) ** 2, 0), 0) / np.sum(seen, 0)
    np.testing.assert_allclose(np.mean(variance / rate), 1, atol=0.02)


def test_the_gaussian_view_is_the_curvature_of_the_poisson_one(telescope):
    bright = eqx.tree_at(lambda t: t.peak, telescope, jnp.asarray(1e6))
    smooth = jnp.full((32, 32, 1), 0.4)
    exposure = bright.expose(smooth, jax.random.key(1))
    way = jnp.asarray(RANDOM.standard_normal(SCENE.shape))

    def curvature(data):
        return jnp.vdot(way, jax.jvp(data.gradient, (smooth,), (way,))[1])

    gaussian, poisson = bright.gaussian(exposure), bright.poisson(exposure)
    assert curvature(gaussian) / curvature(poisson) == pytest.approx(1, rel=0.01)


def test_holes_are_filled_from_their_neighbours(telescope):
    exposure = telescope.expose(SCENE, jax.random.key(2))
    filled = telescope.filled(exposure)
    seen = np.asarray(exposure.seen) > 0
    grey = (np.asarray(exposure.counts) - 20) / 1000
    np.testing.assert_allclose(filled[seen], grey[seen])
    assert np.abs(filled[~seen] - np.mean(SCENE)).max() < 0.35


def test_hypergradients_agree_with_each_other_and_with_differences(telescope):
    sky = skies.drawn(2, telescope, 0)
    batch = skies.measured(sky, jax.random.key(0), 2, 32)
    denoiser = Equivariant(Smoother(jnp.asarray(0.4)), views=2)
    start = Restorer.start(PnPADMM(jnp.asarray(4e-3), jnp.asarray(0.1)), denoiser)
    learned, unravel = jax.flatten_util.ravel_pytree(start)
    stop = uj.Stop(2000, 1e-9)

    @eqx.filter_jit
    def loss(vector, mode):
        return jnp.mean(EndToEnd(mode, stop)(unravel(vector), sky, batch).error)

    way = jnp.asarray(RANDOM.standard_normal(learned.size))
    h = 1e-3
    ends = [loss(learned + k * h * way, uj.Detach()) for k in (-2, -1, 1, 2)]
    difference = (ends[0] - 8 * ends[1] + 8 * ends[2] - ends[3]) / (12 * h)
    implicit = eqx.filter_grad(loss)(learned, uj.Implicit(tol=1e-8))
    np.testing.assert_allclose(implicit @ way, difference, rtol=1e-5)
    truncated = eqx.filter_grad(loss)(learned, uj.Truncated(tol=1e-8))
    np.testing.assert_allclose(truncated @ way, difference, rtol=1e-5)


def test_classical_methods_take_the_number_that_is_best_on_drawn_skies(telescope):
    looks = skies.look(skies.drawn(1, telescope, 0), jax.random.key(0), 1, 32)
    method = classical.METHODS["Richardson-Lucy"]._replace(candidates=(1, 20))
    assert method.tuned(telescope, looks) == 20
    exposure = jax.tree.map(lambda v: v[0], looks.exposures)
    found = classical.by_tv(telescope, exposure, jnp.asarray(0.05))
    assert int(found.status) == uj.Status.CONVERGED
    before = np.mean((telescope.filled(exposure) - looks.scenes[0]) ** 2)
    assert np.mean((found.value - looks.scenes[0]) ** 2) < 0.7 * before


@pytest.mark.parametrize(
    "mode", ["unroll", "truncated", "implicit", "one_step", "neumann", "detach"]
)
def test_every_gradient_config_names_its_mode(mode):
    config = load(Config, ROOT / "configs", "deblur", [f"gradient={mode}"])
    assert type(config.gradient.build()).__name__.lower() == mode.replace("_", "")
    header = (ROOT / "configs" / "gradient" / f"{mode}.yaml").read_text().splitlines()[0]
    assert header == f"# python -m experiments.deblur gradient={mode}"


def test_a_tiny_run_from_end_to_end(tmp_path):
    small = ["preset=quick", "train.steps=2", "gradient=truncated", "gradient.depth=5"]
    command = [sys.executable, "-m", "experiments.deblur", *small, f"hydra.run.dir={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    assert (tmp_path / "figure.png").stat().st_size > 50_000
    assert result["compilations_after_warmup"] == 0
    methods = {name for name, found in result["results"].items() if "SSIM" in found}
    assert methods == {"exposure", *classical.METHODS, "plug-and-play", "unrolled, trained",
                       "implicit, trained"}  # fmt: skip
    assert result["results"]["unrolled, trained"]["PSNR dB"] > 20
    assert "Richardson-Lucy" in done.stdout
