"""The deblurring experiment: operators, hypergradients, configs, and a tiny run from end to end."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unrolljax as uj
from experiments.deblur import data
from experiments.deblur.__main__ import Config
from experiments.deblur.frame import analyse
from experiments.deblur.problem import Observation, Restoration, initial_weights
from experiments.deblur.task import Batch, Task
from unrolljax.lab.config.validate import load

ROOT = Path(__file__).parents[2]
SOLVER = uj.GradientDescent(1.0, 0.7, "nesterov")
RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def task():
    truth = data.training(24)[3:5]
    observed = data.observe(truth, np.array([0.02, 0.03]), 0.05, 2.5, seed=0)
    seen = jax.tree.map(jnp.asarray, observed)
    batch = Batch(seen.data, seen.valid, seen.sigma, seen.brightness, jnp.asarray(truth), seen.data)
    return Task(seen.transfer, jnp.asarray(0.05), SOLVER, uj.Stop(2000, 1e-12), scales=2), batch


def test_the_frame_is_tight():
    image = jnp.asarray(RANDOM.normal(size=(2, 16, 16)))
    mean = image
    for step in (1, 2):
        for axis in (-1, -2):
            mean = (2 * mean + jnp.roll(mean, step, axis) + jnp.roll(mean, -step, axis)) / 4
    energy = jnp.sum(analyse(image, 2) ** 2) + jnp.sum(mean**2)
    np.testing.assert_allclose(energy, jnp.sum(image**2))
    assert analyse(image, 2).shape == (16, 2, 16, 16)
    assert not np.any(np.abs(analyse(jnp.ones((4, 4)), 1)) > 1e-15)


def test_the_blur_is_the_convolution_with_a_moffat_function():
    psf = data.moffat(16, 3.0, 3.0)
    np.testing.assert_allclose(psf.sum(), 1)
    half = np.interp(1.5, np.arange(3), psf[0, :3])
    assert psf[0, 0] / 3 < half < psf[0, 0] / 1.5
    image = RANDOM.normal(size=(1, 16, 16))
    transfer = jnp.asarray(np.fft.rfft2(psf))
    nothing = jnp.zeros((1, 16, 16))
    seen = Observation(nothing, nothing, transfer, jnp.ones(1), nothing).blur(jnp.asarray(image))
    direct = sum(psf[i, j] * np.roll(image, (i, j), (1, 2)) for i in range(16) for j in range(16))
    np.testing.assert_allclose(seen, direct, atol=1e-12)


def test_the_step_size_is_below_one_over_the_curvature(task):
    _, batch = task
    seen = Observation(batch.data, batch.valid, task[0].transfer, batch.sigma, batch.brightness)
    problem = Restoration(seen, initial_weights(2, 3e-3), jnp.asarray(0.05), 2)
    x = jnp.zeros_like(batch.truth)
    slope = jax.grad(problem.objective)
    largest, v = 0.0, jnp.asarray(RANDOM.normal(size=x.shape))
    for _ in range(30):
        v = jax.jvp(slope, (x,), (v / jnp.linalg.norm(v),))[1]
        largest = float(jnp.linalg.norm(v))
    assert 0.5 / largest < float(problem.step_size()) <= 1 / largest


def test_hypergradients_agree_with_each_other_and_with_differences(task):
    (task, batch), weights = task, initial_weights(2, 3e-3)
    flat, unravel = jax.flatten_util.ravel_pytree(weights)

    def loss(vector, mode):
        return task.loss(unravel(vector), batch, mode)[0]

    gradient = jax.jit(jax.grad(loss), static_argnums=1)
    value = jax.jit(lambda v: loss(v, uj.Detach()))
    direction = jnp.asarray(RANDOM.normal(size=flat.size))
    h = 1e-3
    ends = [value(flat + k * h * direction) for k in (-2, -1, 1, 2)]
    difference = (ends[0] - 8 * ends[1] + 8 * ends[2] - ends[3]) / (12 * h)
    implicit = gradient(flat, uj.Implicit(tol=1e-10))
    np.testing.assert_allclose(implicit @ direction, difference, rtol=1e-7)
    for mode in (uj.Unroll("sqrt"), uj.Truncated(tol=1e-8)):
        np.testing.assert_allclose(gradient(flat, mode), implicit, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    "mode", ["unroll", "truncated", "implicit", "one_step", "neumann", "detach"]
)
def test_every_gradient_config_names_its_mode(mode):
    config = load(Config, ROOT / "configs", "deblur", [f"gradient={mode}"])
    assert type(config.gradient.build()).__name__.lower() == mode.replace("_", "")
    header = (ROOT / "configs" / "gradient" / f"{mode}.yaml").read_text().splitlines()[0]
    assert header == f"# python -m experiments.deblur gradient={mode}"


def test_training_crops_stay_off_the_held_out_crop():
    rows, columns = data.HELD_OUT_HUBBLE
    for row, column in data.HUBBLE_CORNERS:
        apart = row + 128 <= rows.start or row >= rows.stop
        assert apart or column + 128 <= columns.start or column >= columns.stop


def test_a_tiny_run_from_end_to_end(tmp_path):
    small = ["preset=quick", "train.steps=2", "stop.max_steps=200", "stop.tol=1e-3",
             "compare_tol=1e-3", "compare.truncated.depth=5", "gradient=truncated",
             "gradient.depth=5"]  # fmt: skip
    command = [sys.executable, "-m", "experiments.deblur", *small, f"hydra.run.dir={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    assert (tmp_path / "figure.png").stat().st_size > 50_000
    assert result["compilations_after_warmup"] == 0
    assert set(result["results"]["one hypergradient"]) == {"unroll", "truncated", "implicit"}
    assert result["results"]["hubble"]["learned"]["PSNR dB"] > 20
    assert "Richardson-Lucy" in done.stdout
