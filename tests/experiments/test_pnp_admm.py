"""The experiment on plug-and-play ADMM: measurements, the modes compared, the figure."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import unrolljax as uj
from experiments.pnp_admm.figure import draw
from experiments.pnp_admm.modes import Comparison, Course
from experiments.pnp_admm.task import Task, camera, crops, sample
from unrolljax.imaging.denoisers import Averaged, initialised
from unrolljax.imaging.scores import scores
from unrolljax.imaging.solvers import PnPADMM
from unrolljax.imaging.training import Restorer

MODES = {"implicit": uj.Implicit(), "unroll": uj.Unroll(), "one step": uj.OneStep()}


@pytest.fixture(scope="module")
def task():
    return Task.of_photographs(6, 1.0, 0.02, 0)


def test_what_is_measured_is_blurred_and_noisy(task):
    truth = camera()[:40, :32]
    found = task.measure(truth, jax.random.key(0))
    assert float(found.sigma) == 0.02
    noise = np.asarray(found.y - found.operator(truth))
    assert noise.std() == pytest.approx(0.02, rel=0.05)
    line = np.arange(-12, 13)
    profile = np.exp(-(line**2) / 2) / np.exp(-(line**2) / 2).sum()
    blurred = sum(
        profile[12 + i] * profile[12 + j] * np.roll(truth, (i, j), (0, 1))
        for i in line
        for j in line
    )
    np.testing.assert_allclose(found.operator(truth), blurred, atol=1e-12)


def test_batches_are_crops_of_the_pictures_each_with_noise_of_its_own(task):
    batch = sample(task, jax.random.key(0), 3, 32)
    assert batch.truth.shape == batch.data.y.shape == (3, 32, 32, 1)
    assert len({float(jnp.sum(y)) for y in batch.data.y}) == 3


def test_held_out_crops_lie_side_by_side():
    picture = camera()
    found = crops(picture, 64, 4)
    assert found.shape == (4, 64, 64, 1)
    np.testing.assert_array_equal(found[0], picture[:64, :64])
    np.testing.assert_array_equal(found[3], picture[192:, 192:])


@jax.numpy_dtype_promotion("standard")  # optax's schedules count steps in integers
def test_every_mode_is_timed_and_judged_from_the_same_start(task, tmp_path):
    network = initialised(Averaged(3, 4), jax.random.key(0), dtype=jnp.dtype(float))
    start = Restorer.start(PnPADMM(jnp.asarray(1e-3), jnp.asarray(0.05)), network)
    held_out = task.measured(crops(camera(), 32, 2), jax.random.key(1))
    comparison = Comparison(
        task, start, uj.Stop(200, 1e-4), held_out, optax.adam(0.01), 1e-4, 2, 32
    )
    courses = {name: comparison.course(mode, 2, 2) for name, mode in MODES.items()}
    assert len({course.psnr[0] for course in courses.values()}) == 1
    for course in courses.values():
        assert course.psnr.shape == course.times.shape == (3,)
        assert np.all(np.isfinite(course.psnr))
        assert np.all(np.diff(course.times) > 0)
        assert course.failed == 0
    assert courses["unroll"].megabytes > 5 * courses["implicit"].megabytes
    np.testing.assert_allclose(courses["implicit"].psnr, courses["unroll"].psnr, atol=0.02)
    told = courses["implicit"].described(2)
    assert told["seconds a step"] == pytest.approx(courses["implicit"].times[-1] / 2)
    pictures = {name: np.asarray(camera())[..., 0] for name in ("truth", "trained")}
    by_method = {"trained": scores(camera(), camera())}
    draw(tmp_path / "figure.png", pictures, by_method, courses)
    assert (tmp_path / "figure.png").stat().st_size > 50_000


def test_a_course_is_described_by_its_ends():
    course = Course(np.asarray([30.0, 31.0]), np.asarray([0.0, 4.0]), 5.0, 1)
    assert course.described(8) == {
        "PSNR dB, before": 30.0,
        "PSNR dB, after": 31.0,
        "seconds a step": 0.5,
        "temporary MB": 5.0,
        "failed solves": 1,
    }
