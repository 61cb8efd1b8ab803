"""The experiment on accelerated imaging: masks, measurements, losses, outcome, with a toy prior."""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data

from experiments.mri import classical, data, training
from experiments.mri.__main__ import Config
from experiments.mri.figure import draw
from experiments.mri.outcome import gallery
from unrolljax import Status, Stop
from unrolljax.imaging.scores import scores
from unrolljax.imaging.solvers import PnPADMM
from unrolljax.imaging.training import Restorer
from unrolljax.lab.config.validate import ConfigError, load

CONFIGS = Path(__file__).parents[2] / "configs"
SMALL = ["tiles=8", "crop=32", "batch=2", "size=64", "stop.tol=1e-9", "gradient.tol=1e-9"]


class Smoothing(eqx.Module):
    """A denoiser that moves each pixel towards its neighbours, by at most `strength * sigma`."""

    strength: jax.Array

    def __call__(self, x, sigma):
        near = sum(jnp.roll(x, shift, axis) for shift in (1, -1) for axis in (0, 1)) / 4
        return x - self.strength * sigma * jnp.tanh((x - near) / sigma)


def squares(count, size, seed):
    """Crops of one picture: those of every photograph take seconds to cut."""
    return skimage.data.coins()[:size, :size][None].repeat(count, 0)


@pytest.fixture
def build(monkeypatch):
    monkeypatch.setattr(training, "tiles", squares)
    monkeypatch.setattr(training, "pretrained", lambda: Smoothing(jnp.asarray(0.4)))
    return lambda *changes: training.build(load(Config, CONFIGS, "mri", [*SMALL, *changes]))


@pytest.mark.parametrize("kind", ["columns", "random"])
@pytest.mark.parametrize("shape", [(32, 32), (33, 50)])
def test_a_mask_has_the_acceleration_and_holds_the_centre(kind, shape):
    scanner = data.Scanner(kind, 4.0, 0.1, 0.01)
    masks = [np.asarray(scanner.draw(shape, jax.random.key(seed))) for seed in range(20)]
    candidates = shape[1] if kind == "columns" else shape[0] * shape[1]
    per_candidate = shape[0] if kind == "columns" else 1
    assert {mask.sum() for mask in masks} == {round(candidates / 4) * per_candidate}
    rows, columns = (np.abs(np.fft.fftfreq(n)) for n in shape)
    distance = (
        columns + 0 * rows[:, None] if kind == "columns" else np.hypot(*np.ix_(rows, columns))
    )
    chances, centre = np.mean(masks, axis=0), scanner.lowest(shape)
    assert np.all(chances[centre] == 1)
    assert 0.1 <= centre.mean() < 0.1 + 2 / 32
    assert np.max(distance[centre]) < np.min(distance[~centre])
    assert chances[distance > np.quantile(distance, 0.8)].mean() < 0.1
    assert not np.array_equal(masks[0], masks[1])
    if kind == "columns":
        assert all(np.all(mask == mask[0]) for mask in masks)


def test_a_measurement_is_numpys_transform_with_noise_where_it_is_measured():
    truth = jnp.asarray(np.random.default_rng(0).random((32, 48, 1)))
    scan = data.Scanner("random", 2.0, 0.1, 0.03).scan(truth, jax.random.key(0))
    mask = np.asarray(scan.operator.mask)
    exact = np.fft.fft2(np.asarray(truth[..., 0]), norm="ortho")
    noise = np.asarray(scan.y[..., 0]) - mask * exact
    assert np.all(noise[~mask] == 0)
    assert noise[mask].real.std() == pytest.approx(0.03, rel=0.1)
    assert noise[mask].imag.std() == pytest.approx(0.03, rel=0.1)
    assert abs(np.corrcoef(noise[mask].real, noise[mask].imag)[0, 1]) < 0.1
    assert scan.sigma == 0.03


def test_a_centre_that_exceeds_the_measurement_is_refused():
    with pytest.raises(ConfigError, match="centre"):
        load(Config, CONFIGS, "mri", ["centre=0.3"])


def test_training_never_sees_the_cameraman(build):
    experiment = build()
    assert data.held_out(64).shape == (64, 64)
    seen = np.asarray(experiment.held_out.truth)
    picture = np.round(255 * data.held_out(64)).astype(int)
    windows = np.lib.stride_tricks.sliding_window_view(picture, (32, 32))
    crop = np.round(255 * seen[0, ..., 0]).astype(int)
    turned = [np.rot90(m, k) for m in (crop, crop.T) for k in range(4)]
    assert any(np.any(np.all(windows == one, axis=(2, 3))) for one in turned)


@pytest.mark.parametrize("supervision", ["truth", "splitting"])
def test_the_gradient_of_the_loss_agrees_with_differences(build, supervision):
    # The penalty leaves fixed points where they are, and has no derivative through them.
    experiment = build(f"supervision={supervision}", "penalty=0")
    batch = experiment.sample(experiment.data, jax.random.key(0))

    @eqx.filter_jit
    def outcome(restorer):
        return experiment.loss(restorer, experiment.data, batch, None)

    start = experiment.parameters
    slope = eqx.filter_grad(lambda restorer: outcome(restorer).loss)(start)
    assert np.all(np.asarray(outcome(start).status) == Status.CONVERGED)
    parts = (
        lambda r: r.prior.denoiser.strength,
        lambda r: r.logs.step_size,
        lambda r: r.logs.sigma,
    )
    for where in parts:
        ahead, behind = (
            outcome(eqx.tree_at(where, start, where(start) + h)).loss for h in (1e-4, -1e-4)
        )
        assert float(where(slope)) != 0
        np.testing.assert_allclose(where(slope), (ahead - behind) / 2e-4, rtol=1e-4)


def test_splitting_restores_from_a_share_and_judges_by_the_rest(build):
    experiment = build("supervision=splitting", "share=0.7", "batch=4")
    first, second = experiment.sample(experiment.data, jax.random.key(0))
    masks = np.asarray(first.operator.mask), np.asarray(second.operator.mask)
    assert not np.any(masks[0] & masks[1])
    assert (masks[0] | masks[1]).mean() == pytest.approx(0.25, abs=1e-3)
    centre = data.Scanner("random", 4.0, 0.08, 0.01).lowest((32, 32))
    assert np.all(masks[0][:, centre])
    assert masks[0][:, ~centre].mean() == pytest.approx(0.7 * (0.25 - 0.08) / (1 - 0.08), rel=0.15)


def test_the_weight_is_the_best_of_its_levels(monkeypatch, build):
    monkeypatch.setattr(classical, "STOP", Stop(300, None))
    monkeypatch.setattr(classical, "LEVELS", np.array([1e-3, 0.1, 10.0]))
    scanner, experiment = data.Scanner("random", 4.0, 0.08, 0.01), build()
    scans = training.measured(scanner, experiment.data, jax.random.key(1), 2, 32)
    assert classical.best_weight(0.01, scans) == pytest.approx(10.0)


def test_every_method_beats_zero_filling_and_the_figure_is_drawn(monkeypatch, build, tmp_path):
    monkeypatch.setattr(classical, "STOP", Stop(1000, 1e-4))
    monkeypatch.setattr(classical, "LEVELS", np.array([0.1]))
    scanner = data.Scanner("random", 3.0, 0.08, 0.01)
    scans = training.measured(scanner, build().data, jax.random.key(1), 1, 32)
    truth = jnp.asarray(data.held_out(64))[..., None]
    restorers = [Restorer.start(PnPADMM(1e-3, s), Smoothing(jnp.asarray(0.4))) for s in (0.1, 0.02)]
    scan = scanner.scan(truth, jax.random.key(0))
    found = gallery(*restorers, Stop(500, 1e-4), scan, truth, scans)
    assert found.status == dict.fromkeys(
        ["total variation", "plug-and-play", "trained"], "CONVERGED"
    )
    by_method = {
        name: scores(picture[..., None], truth)
        for name, picture in found.pictures.items()
        if name != "truth"
    }
    assert list(by_method) == ["zero-filled", "total variation", "plug-and-play", "trained"]
    for measure in ("PSNR dB", "SSIM"):
        assert by_method["total variation"][measure] > by_method["zero-filled"][measure]
        assert by_method["trained"][measure] > by_method["zero-filled"][measure]
    error = np.mean((found.pictures["trained"] - np.asarray(truth[..., 0])) ** 2)
    assert by_method["trained"]["PSNR dB"] == pytest.approx(-10 * np.log10(error))
    lines = [
        {"step": 1, "loss": 2.0},
        {"step": 2, "loss": 1.0},
        {"step": 2, "evaluation/loss": 1.5},
    ]
    draw(tmp_path / "figure.png", found, by_method, lines)
    assert (tmp_path / "figure.png").stat().st_size > 50_000
