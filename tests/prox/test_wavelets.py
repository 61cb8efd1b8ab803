"""Wavelets: orthonormal, inverted by their transpose, equal to matrices built without rolls."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unrolljax.prox.wavelets import Wavelets

ROOT = np.sqrt(3)
TAPS = {
    "haar": np.array([1, 1]) / np.sqrt(2),
    "daubechies4": np.array([1 + ROOT, 3 + ROOT, 3 - ROOT, 1 - ROOT]) / (4 * np.sqrt(2)),
}
FAMILIES = pytest.mark.parametrize("family", list(TAPS))


def halves(family, size):
    """The low and the high half of one level on a line, as matrices (size / 2, size)."""
    low = TAPS[family]
    high = low[::-1] * (-1.0) ** np.arange(len(low))
    matrices = np.zeros((2, size // 2, size))
    for matrix, taps in zip(matrices, (low, high), strict=True):
        for row in range(size // 2):
            for k, tap in enumerate(taps):
                matrix[row, (2 * row + k) % size] += tap
    return matrices


def by_matrices(image, scales, family):
    bands = []
    for _ in range(scales):
        (low_r, high_r), (low_c, high_c) = (halves(family, size) for size in image.shape)
        details = (low_r @ image @ high_c.T, high_r @ image @ low_c.T, high_r @ image @ high_c.T)
        bands = [band.ravel() for band in details] + bands
        image = low_r @ image @ low_c.T
    return np.concatenate([image.ravel(), *bands])


@FAMILIES
@pytest.mark.parametrize(("shape", "scales"), [((8, 8), 3), ((8, 12), 2), ((16, 4), 1)])
def test_they_are_the_products_with_explicit_matrices(family, shape, scales):
    wavelets = Wavelets(shape, scales, family)
    image = np.random.default_rng(0).standard_normal(shape)
    code = jax.jit(wavelets.analyse)(jnp.asarray(image))
    np.testing.assert_allclose(code, by_matrices(image, scales, family), atol=1e-13)


@FAMILIES
def test_they_are_orthonormal_and_inverted_by_their_transpose(family):
    wavelets = Wavelets((8, 16), 3, family)
    analyse, synthesise = jax.jit(wavelets.analyse), jax.jit(wavelets.synthesise)
    atoms = jax.jit(jax.vmap(synthesise))(jnp.eye(128)).reshape(128, 128)
    np.testing.assert_allclose(atoms @ atoms.T, np.eye(128), atol=1e-14)
    image = jnp.asarray(np.random.default_rng(1).standard_normal((8, 16)))
    np.testing.assert_allclose(synthesise(analyse(image)), image, atol=1e-14)
    code = jnp.asarray(np.random.default_rng(2).standard_normal(128))
    np.testing.assert_allclose(jnp.vdot(analyse(image), code), jnp.vdot(image, synthesise(code)))


def test_daubechies_4_has_no_detail_of_a_ramp_where_haar_has():
    ramp = jnp.broadcast_to(jnp.arange(16.0)[:, None], (16, 16))
    details = {
        f: jax.jit(Wavelets((16, 16), 1, f).analyse)(ramp)[128:192].reshape(8, 8) for f in TAPS
    }
    # The last row of details wraps around the image.
    np.testing.assert_allclose(details["daubechies4"][:-1], 0, atol=1e-13)
    assert np.min(np.abs(details["haar"])) > 0.5


def test_bands_are_numbered_from_coarse_to_fine_and_hold_what_varies_in_them():
    wavelets = Wavelets((8, 8), 2)
    assert np.bincount(wavelets.bands()).tolist() == [4, 4, 4, 4, 16, 16, 16]
    stripes = jnp.broadcast_to(jnp.array([1.0, -1.0] * 4), (8, 8))
    analyse = jax.jit(wavelets.analyse)
    in_bands = [np.bincount(wavelets.bands(), analyse(v) ** 2) for v in (stripes, stripes.T)]
    assert [int(np.argmax(energy)) for energy in in_bands] == [4, 5]
    np.testing.assert_allclose([energy.max() for energy in in_bands], 64)


@FAMILIES
def test_they_compute_in_the_precision_of_the_image_and_differentiate(family):
    wavelets = Wavelets((4, 4), 2, family)
    image = jnp.arange(16, dtype=jnp.float32).reshape(4, 4)
    code = jax.jit(wavelets.analyse)(image)
    assert code.dtype == jax.jit(wavelets.synthesise)(code).dtype == jnp.float32
    slope = jax.jit(jax.grad(lambda v: jnp.sum(wavelets.analyse(v) ** 2) / 2))(image)
    np.testing.assert_allclose(slope, image, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("shape", "scales"), [((12, 8), 3), ((8, 8), 0), ((0, 8), 1)])
def test_sizes_that_cannot_be_halved_are_refused(shape, scales):
    with pytest.raises(ValueError, match=r"multiples of 2\*\*scales"):
        Wavelets(shape, scales)


def test_other_families_and_other_shapes_are_refused():
    with pytest.raises(ValueError, match="haar, daubechies4"):
        Wavelets((8, 8), 1, "sine")
    with pytest.raises(ValueError, match="shape"):
        Wavelets((8, 8), 1).analyse(jnp.zeros((8, 4)))
