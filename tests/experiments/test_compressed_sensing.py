"""The experiment on the Hubble deep field: its data, its camera, its networks, its outcome."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.compressed_sensing import data
from experiments.compressed_sensing.__main__ import Name
from experiments.compressed_sensing.classical import best_weight, converged
from experiments.compressed_sensing.figure import draw
from experiments.compressed_sensing.networks import start
from experiments.compressed_sensing.outcome import Exposure, gallery, scores
from unrolljax.core.status import Status
from unrolljax.prox.wavelets import Wavelets
from unrolljax.sparse.networks import decode
from unrolljax.sparse.problems import Lasso
from unrolljax.sparse.training import lasso_codes

SIZE = 8
WAVELETS = Wavelets((SIZE, SIZE), 3)


@pytest.fixture(scope="module")
def patches():
    return data.training_patches(300, SIZE, seed=0)


@pytest.fixture(scope="module", params=["gaussian", "fourier"])
def seen(request, patches):
    return data.camera(request.param, patches, WAVELETS, 24, 0.005, "wiener", 0)


@pytest.fixture(scope="module")
def codes(seen, patches):
    return seen[0].codes(jnp.asarray(patches), jax.random.key(1))


def test_no_patch_of_training_overlaps_with_the_windows(monkeypatch):
    image = np.zeros((872, 1000))
    for window in (data.HELD_OUT, data.VALIDATION):
        image[window] = 1
    monkeypatch.setattr(data, "_hubble", lambda: image)
    assert np.max(data.training_patches(3000, 16, 0)) == 0
    rows, columns = data.HELD_OUT
    beside = [(rows.start - 16, columns.start), (rows.stop, columns.start)]
    beside += [(rows.start, columns.start - 16), (rows.start, columns.stop)]
    assert all(data._apart(*corner, 16, data.HELD_OUT) for corner in beside)
    assert not data._apart(rows.start - 15, columns.stop - 1, 16, data.HELD_OUT)


def test_cutting_and_joining_are_inverse():
    image = np.random.default_rng(0).standard_normal((16, 24))
    patches = data.cut(image, 8)
    np.testing.assert_array_equal(patches[1].reshape(8, 8), image[:8, 8:16])
    np.testing.assert_array_equal(data.join(patches, (16, 24), 8), image)


def test_without_noise_a_camera_measures_the_mean_and_what_its_matrix_says(seen, patches):
    camera = eqx.tree_at(lambda c: c.noise, seen[0], jnp.zeros(()))
    few = jnp.asarray(patches[:20])
    codes = camera.codes(few, jax.random.key(0))
    np.testing.assert_allclose(codes.y, codes.x @ camera.sensing.A.T, atol=1e-12)
    np.testing.assert_allclose(jnp.linalg.norm(camera.sensing.A, axis=0), 1)
    mean = camera.expose(few, jax.random.key(0))[:, 0]
    np.testing.assert_allclose(mean, SIZE * jnp.mean(few, axis=1), atol=1e-12)
    np.testing.assert_allclose(camera.develop(codes.x, mean), few, atol=1e-12)


def test_noise_has_the_standard_deviation_that_is_asked_for(seen, patches):
    camera = seen[0]
    y = camera.expose(jnp.asarray(patches), jax.random.key(0))
    assert jnp.std(y - patches @ camera.rows.T) == pytest.approx(0.005, rel=0.02)


@pytest.mark.parametrize("name", Name.__args__)
def test_every_network_starts_with_a_gradient_that_agrees_with_differences(name, patches):
    camera, prior = data.camera("gaussian", patches, WAVELETS, 24, 0.005, "wiener", 0)
    codes = camera.codes(jnp.asarray(patches[:16]), jax.random.key(1))
    network = start(name, camera.sensing, prior.bands, 3)

    @jax.jit
    def loss(layers):
        whole = eqx.tree_at(lambda n: n.layers, network, layers)
        return camera.error(decode(whole, camera.sensing, codes.y).value, codes.x)

    field = "log_step" if name == "slista" else "log_threshold"
    value, slopes = jax.jit(jax.value_and_grad(loss))(network.layers)
    before, after = (
        loss(network.layers._replace(**{field: getattr(network.layers, field) + h}))
        for h in (-1e-6, 1e-6)
    )
    assert np.isfinite(value)
    slope = float(jnp.sum(getattr(slopes, field)))
    assert slope == pytest.approx(float(after - before) / 2e-6, rel=1e-4, abs=1e-6)


def test_the_weight_is_the_best_of_its_levels_and_converged_codes_are_solutions(seen, codes):
    camera, prior = seen
    few = jax.tree.map(lambda v: v[:40], codes)
    weight = best_weight(camera, few, prior.scale, 30, accelerated=True)

    def error(weight):
        found = lasso_codes(camera.sensing, few.y, weight, 30, accelerated=True)
        return float(camera.error(found, few.x))

    assert error(weight) < min(error(4 * weight), error(weight / 4))
    found = converged(camera.sensing, few.y, weight, max_steps=5000, tol=1e-8)
    assert np.all(np.asarray(found.status) == Status.CONVERGED)
    gaps = [
        Lasso(camera.sensing.A, y, weight).duality_gap(x)
        for x, y in zip(found.value[:5], few.y[:5], strict=True)
    ]
    assert max(gaps) < 1e-7 * float(jnp.max(jnp.sum(few.y**2, axis=1)))


def test_the_wiener_start_beats_classical_steps_and_the_figure_is_drawn(patches, tmp_path):
    camera, prior = data.camera("gaussian", patches, WAVELETS, 24, 0.005, "wiener", 0)
    codes = camera.codes(jnp.asarray(patches[:100]), jax.random.key(1))
    crop = data.window((slice(310, 310 + 128), slice(420, 420 + 128)))
    exposure = Exposure(camera, crop, SIZE, jax.random.key(2))
    network = start("banded", camera.sensing, prior.bands, 6)
    found = gallery(network, exposure, codes, prior, 6)
    by_method = scores(found.pictures)
    assert found.unsolved == 0
    assert found.seconds > 0
    assert {len(curve) for curve in found.curves.values()} == {6}
    for name, title in (("learned", "learned, 6 layers"), ("FISTA", "FISTA, 6 steps")):
        assert found.curves[name][-1] == pytest.approx(by_method[title]["PSNR"])
    assert by_method["learned, 6 layers"]["PSNR"] > by_method["FISTA, 6 steps"]["PSNR"]
    assert by_method["FISTA, 6 steps"]["PSNR"] > by_method["ISTA, 6 steps"]["PSNR"]
    assert by_method["linear (Wiener)"]["PSNR"] > by_method["back-projection"]["PSNR"]
    draw(tmp_path / "figure.png", found, network, "a title")
    assert (tmp_path / "figure.png").stat().st_size > 50_000
