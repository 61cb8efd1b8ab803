import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unrolljax.imaging.denoisers import pretrained as pretrained_module
from unrolljax.imaging.denoisers.drunet import DRUNet
from unrolljax.imaging.denoisers.ffdnet import FFDNet
from unrolljax.imaging.denoisers.learned import initialised
from unrolljax.imaging.denoisers.pretrained import load, pretrained, save
from unrolljax.imaging.training.images import grey

NETWORK = DRUNet((4, 6), 1)


@pytest.fixture
def path(tmp_path):
    save(tmp_path / "small", initialised(NETWORK, jax.random.key(0)), {"psnr": 30.0})
    return tmp_path / "small"


def test_what_is_saved_is_loaded_in_half_precision(path):
    denoiser = initialised(NETWORK, jax.random.key(0))
    loaded = load(path, jnp.float64)
    assert loaded.network == NETWORK
    for one, other in zip(jax.tree.leaves(denoiser), jax.tree.leaves(loaded), strict=True):
        assert other.dtype == jnp.float64
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-7)
    assert load(path, jnp.float32)(jnp.zeros((8, 8, 1), jnp.float32), 0.1).dtype == jnp.float32


def test_weights_of_another_network_are_refused_by_name(path):
    text = path.with_suffix(".json").read_text()
    path.with_suffix(".json").write_text(text.replace('"blocks": 1', '"blocks": 2'))
    with pytest.raises(ValueError, match=r"small.npz does not match .*Convolution_\d+.*one only"):
        load(path)


def test_weights_of_another_width_are_refused_by_name(path, tmp_path):
    save(tmp_path / "wide", initialised(DRUNet((4, 8), 1), jax.random.key(0)), {})
    tmp_path.joinpath("wide.npz").replace(path.with_suffix(".npz"))
    with pytest.raises(ValueError, match=r"small.npz does not match .*of shape \(1, 1, 16, 8\)"):
        load(path)


def test_other_networks_are_not_saved(tmp_path):
    with pytest.raises(ValueError, match="DRUNet, not FFDNet"):
        save(tmp_path / "x", initialised(FFDNet(2, 3), jax.random.key(0)), {})


def test_the_shipped_weights_denoise_a_picture_that_they_have_not_seen():
    truth = grey("camera").reshape(128, 4, 128, 4).mean((1, 3))[..., None].astype(float)
    denoiser = pretrained()
    for level, least in ((10 / 255, 5.0), (25 / 255, 8.0)):
        noise = level * np.random.default_rng(0).standard_normal(truth.shape)
        found = denoiser(jnp.asarray(truth + noise), level)
        gain = 10 * np.log10(np.mean(noise**2) / np.mean((found - truth) ** 2))
        assert gain > least


def test_the_shipped_weights_are_small_and_tell_their_recipe():
    folder = Path(pretrained_module.__file__).parent / "weights"
    assert 50_000 < (folder / "drunet.npz").stat().st_size < 200_000
    about = json.loads((folder / "drunet.json").read_text())
    assert about["recipe"]["command"] == "python -m experiments.denoiser"
    assert about["psnr"]["sigma 25"]["learned"] > about["psnr"]["sigma 25"]["TV"] + 1
