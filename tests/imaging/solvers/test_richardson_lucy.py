"""Richardson-Lucy: likelihood, fixed points, an independent code, gradients and refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.restoration

import unrolljax as uj
from unrolljax.imaging.data_terms import Gaussian, Poisson, ShiftedPoisson
from unrolljax.imaging.operators import Blur, Compose, Inpainting
from unrolljax.imaging.restoration import Restoration
from unrolljax.imaging.solvers.richardson_lucy import RichardsonLucy

SHAPE = (20, 16, 1)
random = np.random.default_rng(0)
KERNEL = random.uniform(size=(3, 3))
KERNEL = jnp.asarray(KERNEL / KERNEL.sum())
TRUTH = np.zeros(SHAPE)
TRUTH[6:14, 5:11] = random.uniform(0.2, 1, size=(8, 6, 1))
BLUR = Blur(KERNEL, SHAPE)
COUNTS = jnp.asarray(random.poisson(50 * np.asarray(BLUR(jnp.asarray(TRUTH))) + 4).astype(float))
START = jnp.full(SHAPE, 0.5)


def restored(data, steps, x0=START, gradient=None):
    stop = uj.Stop(max_steps=steps, tol=None)
    return uj.solve(
        RichardsonLucy(), Restoration(data), x0, gradient=gradient or uj.Detach(), stop=stop
    )


@pytest.mark.parametrize(
    "data",
    [
        Poisson(BLUR, COUNTS, 4.0, 50.0),
        Poisson(BLUR, COUNTS, 0.0, 50.0),
        ShiftedPoisson(BLUR, COUNTS - 3, 2.0, 4.0, 50.0),
    ],
)
def test_no_step_lowers_the_likelihood(data):
    x, step = START, jax.jit(lambda x: data.mirror_step(x))
    values = [data.value(x)]
    for _ in range(60):
        x = step(x)
        values.append(data.value(x))
    assert np.all(np.diff(values) <= 1e-12 * values[0])
    assert values[-1] < 0.2 * values[0]
    assert jnp.all(x >= 0)


def test_without_background_expected_counts_are_the_measured_ones():
    x = restored(Poisson(BLUR, COUNTS, 0.0, 50.0), 3).value
    np.testing.assert_allclose(50 * jnp.sum(x), jnp.sum(COUNTS), rtol=1e-12)


def test_agrees_with_scikit_image():
    """Where a dark margin makes periodic and zero borders the same, except next to the border.

    scikit-image convolves "same", which is not the transpose near the border: the scene is dark
    enough there for the middle to agree.
    """
    y = np.asarray(BLUR(jnp.asarray(TRUTH)))
    expected = skimage.restoration.richardson_lucy(
        y[..., 0], np.asarray(KERNEL), num_iter=2, clip=False
    )
    found = restored(Poisson(BLUR, np.maximum(y, 0)), 2).value[..., 0]
    middle = (slice(5, -5), slice(5, -5))
    np.testing.assert_allclose(found[middle], expected[middle], rtol=1e-8)


def test_a_consistent_scene_is_a_fixed_point():
    scene = jnp.asarray(TRUTH + 0.1)
    data = Poisson(BLUR, 50 * BLUR(scene) + 4, 4.0, 50.0)
    np.testing.assert_allclose(data.mirror_step(scene), scene, rtol=1e-12)
    solution = restored(data, 5, scene)
    assert int(solution.status) == uj.Status.COMPLETED


def test_missing_pixels_and_pixels_out_of_sight():
    mask = np.ones(SHAPE[:2])
    mask[:8, :8] = 0
    window = Inpainting(jnp.asarray(mask), SHAPE)
    data = Poisson(Compose(window, BLUR), window(COUNTS), 4.0, 50.0)
    x = restored(data, 30).value
    assert jnp.all(jnp.isfinite(x))
    # No measured pixel sees those that are more than the kernel's reach within the hole.
    np.testing.assert_array_equal(x[2:6, 2:6], 0.5)
    assert not np.allclose(x[12:, 10:], 0.5)


def test_unrolled_gradient_is_that_of_differences():
    weights = jnp.asarray(random.standard_normal(SHAPE))

    def loss(scale):
        data = Poisson(Blur(KERNEL * scale, SHAPE), COUNTS, 4.0, 50.0)
        return jnp.sum(weights * restored(data, 10, gradient=uj.Unroll()).value)

    slope = jax.jit(jax.grad(loss))(jnp.asarray(1.0))
    value = jax.jit(loss)
    difference = (value(jnp.asarray(1 + 1e-5)) - value(jnp.asarray(1 - 1e-5))) / 2e-5
    np.testing.assert_allclose(slope, difference, rtol=1e-6)


@pytest.mark.parametrize("x0", [START.at[3, 3].set(-0.1), 0 * START])
def test_a_start_that_is_not_positive_ends_with_a_status(x0):
    assert int(restored(Poisson(BLUR, COUNTS), 3, x0).status) == uj.Status.NONFINITE


@pytest.mark.parametrize(
    ("data", "x0", "message"),
    [
        (Gaussian(BLUR, COUNTS, 1.0), START, "needs counts"),
        (Poisson(BLUR, COUNTS), START[:-1], "x0 has shape"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(data, x0, message):
    with pytest.raises(ValueError, match=message):
        restored(data, 2, x0)
