import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from unrolljax.imaging.scores import scores
from unrolljax.imaging.training.images import grey

TRUTH = grey("camera")[100:180, 200:264].astype(float)
IMAGE = TRUTH + 0.05 * np.random.default_rng(0).standard_normal(TRUTH.shape)


def test_they_are_those_of_scikit_image():
    found = scores(IMAGE[..., None], TRUTH[..., None])
    assert found["PSNR dB"] == pytest.approx(peak_signal_noise_ratio(TRUTH, IMAGE, data_range=1))
    expected = structural_similarity(
        TRUTH, IMAGE, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert found["SSIM"] == pytest.approx(expected, abs=2e-3)


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="shape"):
        scores(IMAGE, TRUTH[..., None])
