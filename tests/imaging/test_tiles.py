"""Tiles cover an image by weights that sum to one, and restore what the whole would give."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unrolljax as uj
from unrolljax.imaging.data_terms import Gaussian
from unrolljax.imaging.operators import ValidBlur
from unrolljax.imaging.psf import gaussian
from unrolljax.imaging.restoration import Restoration
from unrolljax.imaging.solvers import PnPADMM, restore
from unrolljax.imaging.tiles import axis, restore_tiles

NOISE, KERNEL = 0.02, gaussian(5, 1.0)
OVERLAP, MARGIN = 24, 2


class Smoother(eqx.Module):
    """Moves each pixel towards the mean of its neighbours, the more the stronger the noise."""

    strength: jax.Array

    def __call__(self, x, sigma):
        padded = jnp.pad(x, ((1, 1), (1, 1), (0, 0)), mode="edge")
        rows = (padded[:-2] + padded[2:]) / 4 + padded[1:-1] / 2
        mean = (rows[:, :-2] + rows[:, 2:]) / 4 + rows[:, 1:-1] / 2
        return x + self.strength * sigma / (sigma + NOISE) * (mean - x)


@jax.jit
def by_admm(y):
    height, width, channels = y.shape
    scene = (height + 2 * MARGIN, width + 2 * MARGIN, channels)
    data = Gaussian(ValidBlur(KERNEL, scene), y, NOISE)
    start = jnp.pad(y, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), mode="edge")
    problem = Restoration(data, Smoother(jnp.asarray(0.9)))
    solver = PnPADMM(4 * NOISE**2, 3 * NOISE)
    return restore(solver, problem, start, gradient=uj.Detach(), stop=uj.Stop(200, 1e-6))


@pytest.fixture(scope="module")
def measured():
    rows, columns = np.mgrid[:60, :44] / 15
    smooth = np.stack([np.sin(rows) * np.cos(columns), np.cos(rows + columns)], -1)
    return smooth + NOISE * np.random.default_rng(0).standard_normal(smooth.shape)


@pytest.fixture(scope="module")
def whole(measured):
    return np.asarray(by_admm(measured).value)


def both_axes(picture, size, stride=1):
    return [axis(n, size, OVERLAP, MARGIN, stride) for n in picture.shape[:2]]


@pytest.mark.parametrize(
    ("length", "size", "overlap", "margin", "stride"),
    [
        *itertools.product([1, 64, 100, 257], [64], [0, 1, 20, 32], [0, 7], [1]),
        (257, 64, 20, 3, 8),
        (256, 60, 20, 0, 8),
        (101, 100, 50, 5, 8),
    ],
)
def test_weights_sum_to_one_over_equal_tiles(length, size, overlap, margin, stride):
    tiles = axis(length, size, overlap, margin, stride)
    total = np.zeros(length + 2 * margin)
    for start, weights in zip(tiles.starts, tiles.weights, strict=True):
        assert weights.min() >= 0
        total[start : start + len(weights)] += weights
    np.testing.assert_allclose(total, 1, rtol=1e-14)
    assert size - stride < tiles.size <= size or tiles.size == length
    assert tiles.starts[0] == 0
    assert tiles.starts[-1] + tiles.size == length
    assert np.all(np.diff(tiles.starts) <= tiles.size - overlap)
    assert not np.any(tiles.starts % stride)


def test_a_tile_does_not_count_in_its_margin_where_another_sees():
    tiles = axis(100, 60, 20, 5)
    np.testing.assert_array_equal(tiles.weights[0, :50], 1)
    np.testing.assert_array_equal(tiles.weights[0, -10:], 0)
    np.testing.assert_array_equal(tiles.weights[1, :10], 0)


@pytest.mark.parametrize("size", [36, 40])
def test_the_scene_is_the_untiled_one(measured, whole, size):
    tiled = restore_tiles(by_admm, *both_axes(measured, size), measured)
    assert tiled.scene.shape == whole.shape == (64, 48, 2)
    assert tiled.status.shape == (3, 2)
    assert np.all(tiled.status == uj.Status.CONVERGED)
    assert np.all(tiled.steps > 3)
    np.testing.assert_allclose(tiled.scene, whole, atol=1e-4)


def test_a_smooth_picture_has_no_seams():
    rows, columns = np.mgrid[:60, :44] / 40
    smooth = np.sin(rows + columns)[..., None]
    tiled = restore_tiles(by_admm, *both_axes(smooth, 40), smooth)
    bends, expected = (
        np.abs(np.diff(scene[8:-8, 8:-8], n=2, axis=0)).max()
        for scene in (tiled.scene, np.asarray(by_admm(smooth).value))
    )
    assert bends < 1.01 * expected


def test_a_picture_smaller_than_a_tile_is_one_tile(measured, whole):
    tiled = restore_tiles(by_admm, *both_axes(measured, 512, 8), measured)
    np.testing.assert_array_equal(tiled.scene, whole)
    assert tiled.status.shape == (1, 1)


HALFWAY = uj.FixedPoint(lambda problem, x: (x + problem[0] * problem[1]) / 2)


def product(y, weight):
    """A solve whose result is known: no pixel knows of another."""
    stop = uj.Stop(60, 1e-5)
    return uj.solve(HALFWAY, (y, weight), jnp.zeros_like(y), gradient=uj.Detach(), stop=stop)


def test_one_program_serves_all_tiles(measured):
    compiled = 0

    @jax.jit
    def solve(y, weight):
        nonlocal compiled
        compiled += 1
        return product(y, weight)

    picture, weight = measured.astype(np.float32), np.full_like(measured, 0.5, np.float32)
    tiles = [axis(n, 32, 8) for n in picture.shape[:2]]
    tiled = restore_tiles(solve, *tiles, picture, weight)
    restore_tiles(solve, *tiles, 2 * picture, weight)
    assert compiled == 1
    assert tiled.scene.dtype == np.float32
    np.testing.assert_allclose(tiled.scene, picture / 2, atol=1e-4)


def test_a_tile_that_failed_is_told(measured):
    broken = measured.copy()
    broken[-1, -1] = np.nan
    tiles = [axis(n, 32, 8) for n in broken.shape[:2]]
    tiled = restore_tiles(jax.jit(product), *tiles, broken, np.ones_like(broken))
    assert tiled.status.tolist() == [[0, 0], [0, 0], [0, int(uj.Status.NONFINITE)]]
    assert np.isfinite(tiled.scene[:28]).all()


def test_tiles_that_do_not_move_on_are_refused():
    with pytest.raises(ValueError, match="do not move on by 1"):
        axis(100, 20, 20)
    with pytest.raises(ValueError, match="do not move on by 8"):
        axis(100, 24, 20, 0, 8)
    with pytest.raises(ValueError, match="too small"):
        axis(100, 0, 20)
