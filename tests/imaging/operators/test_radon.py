import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data
import skimage.transform

from unrolljax.imaging.operators import Radon, dot_test
from unrolljax.imaging.operators.joseph import _back_project, _project

ANGLES = np.deg2rad([0.0, 17.0, 45.0, 90.0, 101.0, 135.0, 180.0, 230.0, 350.0])
random = np.random.default_rng(0)


def centred(shape):
    """Rows and columns counted from the middle pixel."""
    rows, columns = np.indices(shape, float)
    return rows - shape[0] // 2, columns - shape[1] // 2


def sinogram(image, angles=ANGLES):
    operator = Radon(jnp.asarray(angles), (*image.shape, 1))
    seen = np.asarray(jax.jit(lambda operator, x: operator(x))(operator, image[..., None]))
    return seen[..., 0], np.arange(operator.bins) - operator.bins // 2


def blob(shape, sigma, row=0.0, column=0.0):
    rows, columns = centred(shape)
    return np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * sigma**2))


@pytest.mark.parametrize("shape", [(64, 64), (51, 64), (64, 33)])
def test_it_agrees_with_scikit_image(shape):
    picture = skimage.data.camera()[150 : 150 + 2 * shape[0] : 2, 200 : 200 + 2 * shape[1] : 2]
    for image, tolerance in ((picture / 255, 0.02), (blob(shape, 4, 5, -3), 2e-3)):
        seen, places = sinogram(image)
        theirs = skimage.transform.radon(image, np.rad2deg(ANGLES), circle=False).T
        middle = theirs.shape[1] // 2
        inside = np.abs(places) < middle
        theirs = theirs[:, places[inside] + middle]
        difference = np.linalg.norm(seen[:, inside] - theirs)
        assert difference < tolerance * np.linalg.norm(theirs)
        assert np.all(np.abs(seen[:, ~inside]) < 1)


def test_rays_along_the_axes_are_sums_of_rows_and_columns():
    image = random.random((6, 9))
    seen, places = sinogram(image, np.deg2rad([0.0, 90.0, 180.0]))
    across = np.isin(places, np.arange(9) - 4)
    np.testing.assert_allclose(seen[0, across], image.sum(0), atol=1e-12)
    np.testing.assert_allclose(seen[2, ::-1][across], image.sum(0), atol=1e-12)
    down = np.isin(places, np.arange(6) - 3 + 1)
    np.testing.assert_allclose(seen[1, down][::-1], image.sum(1), atol=1e-12)


def test_the_chords_of_a_disc():
    fine, radius = 8, 20.0
    rows, columns = (np.indices((64 * fine,) * 2) + 0.5) / fine - 0.5 - 32
    disc = (rows**2 + columns**2 < radius**2).astype(float)
    disc = disc.reshape(64, fine, 64, fine).mean((1, 3))
    seen, places = sinogram(disc, random.uniform(0, 2 * np.pi, 12))
    chords = 2 * np.sqrt(np.maximum(radius**2 - places**2, 0))
    within = np.abs(places) < radius - 1.5
    assert np.max(np.abs(seen - chords)[:, within]) < 0.6
    assert np.mean(np.abs(seen - chords)[:, within]) < 0.12
    assert np.all(seen[:, np.abs(places) > radius + 1.5] == 0)


def test_the_spectrum_of_a_projection_is_a_slice_of_the_images_spectrum():
    sigma, row, column = 4.0, 6.0, -5.0
    seen, places = sinogram(blob((64, 64), sigma, row, column))
    waves = np.linspace(0, 0.6, 20)
    spectra = seen @ np.exp(-1j * np.outer(places, waves))
    centre = column * np.cos(ANGLES) - row * np.sin(ANGLES)
    expected = 2 * np.pi * sigma**2 * np.exp(-(sigma**2) * waves**2 / 2)
    expected = expected * np.exp(-1j * np.outer(centre, waves))
    np.testing.assert_allclose(spectra, expected, atol=0.004 * expected[0, 0].real)


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 1e-6), ("float64", 1e-12)])
@pytest.mark.parametrize("shape", [(64, 64, 1), (37, 52, 2)])
def test_the_adjoint_is_the_transpose(shape, dtype, bound):
    angles = jnp.asarray(random.uniform(-4, 4, 40), dtype)
    operator = Radon(angles, shape)
    assert operator(jnp.ones(shape, dtype)).dtype == dtype
    for seed in range(3):
        assert dot_test(operator, jax.random.key(seed)) < bound


def test_both_primitives_are_the_transposes_that_jax_would_find():
    operator = Radon(jnp.asarray(ANGLES + 0.01), (7, 10, 2))
    x = jnp.asarray(random.standard_normal(operator.shape))
    y = jnp.asarray(random.standard_normal(operator(x).shape))
    (expected,) = jax.linear_transpose(lambda x: _project(operator.angles, x, shape=(7, 10)), x)(y)
    np.testing.assert_allclose(operator.adjoint(y), expected, atol=1e-12)
    (expected,) = jax.linear_transpose(
        lambda y: _back_project(operator.angles, y, shape=(7, 10)), y
    )(x)
    again = jax.linear_transpose(operator.apply_adjoint, y)(x)[0]
    np.testing.assert_allclose(again, expected, atol=1e-12)


@pytest.fixture
def misfit():
    """A function of angles and image with derivatives of every kind, and a point off its kinks."""
    shape = (6, 5, 1)
    angles, x = jnp.array([0.31, 1.2, -2.0]), jnp.asarray(random.standard_normal(shape))
    y = Radon(angles + 0.1, shape)(jnp.asarray(random.standard_normal(shape)))

    def value(angles, x):
        operator = Radon(angles, shape)
        return jnp.sum((operator(x) - y) ** 2) + jnp.sum(operator.gram(x) ** 3)

    return value, angles, x


def test_derivatives_agree_with_differences_in_both_modes(misfit):
    value, *point = misfit
    direction = [jnp.asarray(random.standard_normal(v.shape)) for v in point]

    def moved(h):
        return [v + h * d for v, d in zip(point, direction, strict=True)]

    def slope(*at):
        return sum(jnp.vdot(g, d) for g, d in zip(gradient(*at), direction, strict=True))

    gradient = jax.jit(jax.grad(value, (0, 1)))
    h = 1e-5
    difference = (value(*moved(h)) - value(*moved(-h))) / (2 * h)
    np.testing.assert_allclose(slope(*point), difference, rtol=1e-7)
    forward = jax.jit(lambda *at: jax.jvp(value, at, tuple(direction))[1])
    np.testing.assert_allclose(forward(*point), difference, rtol=1e-7)
    difference = (slope(*moved(h)) - slope(*moved(-h))) / (2 * h)
    for curvature in (
        jax.jvp(slope, tuple(point), tuple(direction))[1],
        jax.grad(lambda t: slope(*moved(t)))(0.0),
        jax.jvp(forward, tuple(point), tuple(direction))[1],
    ):
        np.testing.assert_allclose(curvature, difference, rtol=1e-6)


def test_angles_images_and_both_are_vmapped(misfit):
    value, angles, x = misfit
    many, images = jnp.stack([angles, angles + 0.05]), jnp.stack([x, 2 * x, x - 1])
    slope = jax.grad(value, (0, 1))
    nested = jax.jit(jax.vmap(jax.vmap(slope, (None, 0)), (0, None)))(many, images)
    both = jax.jit(jax.vmap(slope))(many, images[:2])
    expected = slope(many[1], images[1])
    for found in (jax.tree.map(lambda v: v[1, 1], nested), jax.tree.map(lambda v: v[1], both)):
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


def test_an_angle_that_is_off_is_found_by_its_gradient():
    image, truth = jnp.asarray(blob((16, 16), 2.0, 3.0, -1.0))[..., None], 0.7
    y = Radon(jnp.array([truth]), image.shape)(image)

    def residual(angle):
        return (Radon(angle[None], image.shape)(image) - y).ravel()

    angle = jnp.asarray(0.5)
    for _ in range(6):
        r, slope = residual(angle), jax.jacfwd(residual)(angle)
        angle = angle - jnp.vdot(slope, r) / jnp.vdot(slope, slope)
    np.testing.assert_allclose(angle, truth, atol=1e-6)


@pytest.mark.parametrize(
    ("angles", "shape", "message"),
    [
        (jnp.zeros((2, 2)), (8, 8, 1), r"Radon\(angles\) of shape \(2, 2\)"),
        (jnp.zeros(0), (8, 8, 1), r"Radon\(angles\) of shape \(0,\)"),
        (jnp.arange(180), (8, 8, 1), "in radians, not int"),
        (jnp.array([0.0, jnp.nan]), (8, 8, 1), "1 NaN or infinite"),
        (jnp.zeros(3), (8, 8), r"Radon\(shape=\(8, 8\)\)"),
    ],
)
def test_bad_input_is_refused(angles, shape, message):
    with pytest.raises(ValueError, match=message):
        Radon(angles, shape)
