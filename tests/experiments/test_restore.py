"""The command `python -m experiments.restore`: what it makes of pictures, and what it tells."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data
import skimage.io
from astropy.io import fits
from scipy.signal import fftconvolve

from experiments.restore import methods
from experiments.restore.__main__ import main
from experiments.restore.measurement import measure
from experiments.restore.tiling import tiling
from unrolljax.imaging.psf import gaussian

LUCY = "--method", "richardson-lucy", "--psf", "psf.npy"
RNG = np.random.default_rng(0)
NOISE, SIZE = 0.02, (40, 36)
KERNEL = np.asarray(gaussian(5, 1.0))


class Smoother(eqx.Module):
    """Moves each pixel towards the mean of its neighbours, the more the stronger the noise."""

    strength: jax.Array

    def __call__(self, x, sigma):
        padded = jnp.pad(x, ((1, 1), (1, 1), (0, 0)), mode="edge")
        rows = (padded[:-2] + padded[2:]) / 4 + padded[1:-1] / 2
        mean = (rows[:, :-2] + rows[:, 2:]) / 4 + rows[:, 1:-1] / 2
        return x + self.strength * sigma / (sigma + NOISE) * (mean - x)


DENOISER = Smoother(jnp.asarray(0.5))


def scene(channels=1):
    """Blocks in [0.1, 0.9], wider than a picture by the kernel's radius on each side."""
    blocks = np.random.default_rng(1).uniform(0.1, 0.9, (11, 10, channels))
    return np.kron(blocks, np.ones((4, 4, 1)))[:44]


def blurred(channels=1):
    exact = fftconvolve(scene(channels), KERNEL[..., None], mode="valid", axes=(0, 1))
    return exact + NOISE * np.random.default_rng(2).standard_normal(exact.shape)


def rmse(picture, channels=1):
    return float(np.sqrt(np.mean((picture - scene(channels)[2:-2, 2:-2]) ** 2)))


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    """Enough to be sharper; the tests compute slowly."""
    few = {"tv": {"steps": 400, "tolerance": 3e-3}}
    for name, numbers in few.items():
        monkeypatch.setitem(methods.NUMBERS, name, methods.NUMBERS[name] | numbers)


@pytest.fixture
def files(tmp_path):
    """A blurred picture and its point spread function."""
    skimage.io.imsave(tmp_path / "image.tif", blurred()[..., 0].astype(np.float32))
    np.save(tmp_path / "psf.npy", KERNEL)
    return tmp_path


def run(folder, *arguments, image="image.tif"):
    """The exit code of the command in a folder; its output goes to `out`."""
    places = [str(folder / a) if "." in a and a[0].isalpha() else a for a in arguments]
    return main([str(folder / image), *places, "--output", str(folder / "out")], DENOISER)


def result(folder):
    return json.loads((folder / "out" / "result.json").read_text())


def restored(folder, name="restored.tif"):
    return skimage.io.imread(folder / "out" / name)


@pytest.mark.parametrize("method", methods.NUMBERS)
def test_every_method_sharpens_and_says_what_it_did(files, method, capsys):
    assert run(files, "--psf", "psf.npy", "--method", method) == 0
    picture = restored(files)
    assert picture.dtype == np.float32
    assert rmse(picture[..., None]) < 0.9 * rmse(blurred())
    told = result(files)
    assert told["method"]["name"] == method
    assert set(told["solves"]) <= {"CONVERGED", "COMPLETED"}
    assert told["noise"]["found"].startswith("estimated by skimage")
    assert told["noise"]["readout"][0] == pytest.approx(NOISE, rel=0.3)
    assert told["psf"]["size"] == [5, 5]
    assert 0.3 < told["residual"]["chi^2 per pixel"] < 2
    report = (files / "out" / "report.md").read_text()
    assert told["command"] in report
    assert report in capsys.readouterr().out
    assert (files / "out" / "figure.png").stat().st_size > 10_000


def test_without_a_psf_the_denoiser_is_applied(files):
    assert run(files, "--noise", "0.02") == 0
    told = result(files)
    zero, one = told["scale"]["zero"], told["scale"]["one"]
    grey = (skimage.io.imread(files / "image.tif").astype(float)[..., None] - zero) / (one - zero)
    expected = zero + (one - zero) * DENOISER(grey, NOISE / (one - zero))
    np.testing.assert_allclose(restored(files), expected[..., 0], atol=1e-5)
    assert told["noise"]["found"] == "given"
    assert told["psf"] is None


def test_tiles_give_what_the_whole_gives(tmp_path):
    picture = np.tile(blurred()[..., 0], (3, 1))
    skimage.io.imsave(tmp_path / "image.tif", picture)
    np.save(tmp_path / "psf.npy", KERNEL)
    assert run(tmp_path, *LUCY) == 0
    whole = restored(tmp_path)
    assert run(tmp_path, *LUCY, "--tile", "72") == 0
    told = result(tmp_path)
    assert told["tiles"] == {"count": [3, 1], "size": [72, 36]}
    assert told["solves"] == {"COMPLETED": 3}
    np.testing.assert_allclose(restored(tmp_path), whole, atol=1e-4)


def test_colours_are_restored_one_by_one(tmp_path):
    picture = np.clip(np.rint(255 * blurred(3)), 0, 255).astype(np.uint8)
    skimage.io.imsave(tmp_path / "image.png", picture)
    skimage.io.imsave(tmp_path / "psf.png", np.rint(255 * KERNEL / KERNEL.max()).astype(np.uint8))
    assert run(tmp_path, "--psf", "psf.png", image="image.png") == 0
    found = restored(tmp_path, "restored.png")
    assert found.shape == (40, 36, 3)
    assert found.dtype == np.uint8
    assert rmse(found / 255, 3) < 0.9 * rmse(picture / 255, 3)
    assert result(tmp_path)["solves"] == {"CONVERGED": 3}


def test_missing_pixels_of_fits_are_filled_and_the_header_kept(tmp_path):
    picture = blurred()[..., 0].astype(np.float32)
    picture[10:12, 5:9] = np.nan
    picture[30, 30] = 1e6
    unit = fits.PrimaryHDU(1000 * picture)
    unit.header["OBJECT"] = "M 31"
    unit.writeto(tmp_path / "image.fits")
    mask = np.zeros(SIZE, np.uint8)
    mask[30, 30] = 1
    fits.PrimaryHDU(mask).writeto(tmp_path / "mask.fits")
    fits.PrimaryHDU(KERNEL).writeto(tmp_path / "psf.fits")
    flags = "--psf", "psf.fits", "--mask", "mask.fits", "--method", "tv", "--noise", "20"
    assert run(tmp_path, *flags, image="image.fits") == 0
    with fits.open(tmp_path / "out" / "restored.fits") as units:
        assert units[0].header["OBJECT"] == "M 31"
        assert "experiments.restore" in str(units[0].header["HISTORY"])
        assert units[0].data.dtype == np.dtype(">f4")
        found = units[0].data[..., None] / 1000
    assert rmse(found) < 0.9 * rmse(blurred())
    assert result(tmp_path)["missing"] == {"not finite": 8, "masked": 1}


@pytest.mark.parametrize("method", ["pnp", "richardson-lucy"])
def test_counts_are_noisy_where_they_are_many(tmp_path, method):
    gain, readout = 2.0, 3.0
    exact = fftconvolve(500 * scene(), KERNEL[..., None], mode="valid", axes=(0, 1))
    rng = np.random.default_rng(3)
    electrons = rng.poisson(gain * exact) + gain * readout * rng.standard_normal(exact.shape)
    values = electrons / gain
    skimage.io.imsave(tmp_path / "image.tif", values[..., 0])
    np.save(tmp_path / "psf.npy", KERNEL)
    flags = "--psf", "psf.npy", "--counts", "2", "--noise", "3", "--method", method
    assert run(tmp_path, *flags) == 0
    assert rmse(restored(tmp_path)[..., None] / 500) < rmse(values / 500)
    told = result(tmp_path)
    median = np.sqrt(np.median(exact) / gain + readout**2)
    assert told["noise"]["median"][0] == pytest.approx(median, rel=0.05)
    assert told["noise"]["readout"] == [pytest.approx(3)]
    assert 0.3 < told["residual"]["chi^2 per pixel"] < 2


def test_counts_and_noise_are_told_apart():
    values = np.full((64, 64, 1), 100.0) + 5 * RNG.standard_normal((64, 64, 1))
    found = measure(values, None, None, 8.0, False)
    assert found.readout[0] * found.scale.span == pytest.approx(np.sqrt(25 - 100 / 8), rel=0.05)
    assert found.noise[0] * found.scale.span == pytest.approx(5, rel=0.05)
    dark = measure(values, None, None, 1.0, False)
    assert dark.readout[0] * dark.scale.span == pytest.approx(1)


def test_a_solve_that_failed_is_named(files, monkeypatch, capsys):
    monkeypatch.setitem(methods.NUMBERS, "tv", methods.NUMBERS["tv"] | {"steps": 2})
    assert run(files, "--method", "tv") == 1
    assert "1 of 1 solves ended as MAX_STEPS" in capsys.readouterr().err
    assert "**1 of 1 solves ended as MAX_STEPS" in (files / "out" / "report.md").read_text()
    assert result(files)["solves"] == {"MAX_STEPS": 1}


def test_the_shipped_denoiser_is_the_default(tmp_path):
    truth = skimage.data.camera()[100:164, 200:264] / 255
    rng = np.random.default_rng(4)
    picture = fftconvolve(truth, KERNEL, mode="valid") + NOISE * rng.standard_normal((60, 60))
    skimage.io.imsave(tmp_path / "image.tif", picture)
    np.save(tmp_path / "psf.npy", KERNEL)
    flags = "--psf", str(tmp_path / "psf.npy"), "--output", str(tmp_path / "out")
    assert main([str(tmp_path / "image.tif"), *flags]) == 0
    before, after = (
        np.sqrt(np.mean((x - truth[2:-2, 2:-2]) ** 2)) for x in (picture, restored(tmp_path))
    )
    assert after < 0.8 * before


class Broken(eqx.Module):
    def __call__(self, x, sigma):
        return jnp.nan * x


def test_a_restoration_that_is_no_number_is_still_told(files, capsys):
    code = main([str(files / "image.tif"), "--output", str(files / "out")], Broken())
    assert code == 1
    assert "NONFINITE" in capsys.readouterr().err
    assert result(files)["residual"] == {"chi^2 per pixel": None}


def test_scenes_of_tiles_have_fast_lengths():
    found = tiling((1000, 300), KERNEL, None)
    assert found.count == 3
    assert found.rows.weights.shape[1] == found.rows.size + found.kernel.shape[0] - 1
    assert found.columns.weights.shape[1] == 308
    np.testing.assert_array_equal(found.kernel[found.kernel > 0].reshape(5, 5), KERNEL)
    assert tiling((50, 40), None, None).kernel is None
