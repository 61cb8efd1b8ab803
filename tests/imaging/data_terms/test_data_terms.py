"""Values, derivatives, proximal operators and refusals of the data terms."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from unrolljax.imaging.data_terms import Gaussian, Poisson, ShiftedPoisson
from unrolljax.imaging.operators import Blur, Compose, Fourier, Identity, Inpainting, Stack

SHAPE = (6, 5, 1)
random = np.random.default_rng(0)
KERNEL = jnp.asarray(np.full((3, 3), 1 / 9))
TRUTH = jnp.asarray(random.uniform(0.2, 1, size=SHAPE))
BLUR = Blur(KERNEL, SHAPE)
MASK = jnp.asarray(random.uniform(size=SHAPE[:2]) < 0.7)
COUNTS = jnp.asarray(random.poisson(20 * np.asarray(BLUR(TRUTH)) + 3).astype(float))
ELECTRONS = COUNTS + 2.5 * jnp.asarray(random.standard_normal(SHAPE))
DEVIATION = jnp.where(MASK[..., None], jnp.asarray(random.uniform(0.05, 0.2, size=SHAPE)), jnp.inf)
TERMS = {
    "Gaussian": Gaussian(BLUR, BLUR(TRUTH), 0.1),
    "Gaussian, weighted": Gaussian.weighted(BLUR, BLUR(TRUTH), DEVIATION),
    "Gaussian, masked": Gaussian(
        Compose(Inpainting(MASK, SHAPE), BLUR), Inpainting(MASK, SHAPE)(TRUTH), 0.1
    ),
    "Gaussian, complex": Gaussian(Fourier(MASK, SHAPE), Fourier(MASK, SHAPE)(TRUTH), 0.1),
    "Gaussian, two": Gaussian(Stack(BLUR, Identity(SHAPE)), (BLUR(TRUTH), TRUTH), 0.1),
    "Poisson": Poisson(BLUR, COUNTS, 3.0, 20.0),
    "Poisson, identity": Poisson(Identity(SHAPE), COUNTS, 3.0, 20.0),
    "Poisson, mask": Poisson(
        Inpainting(MASK, SHAPE), Inpainting(MASK, SHAPE)(COUNTS), jnp.full(SHAPE, 2.0), 20.0
    ),
    "ShiftedPoisson": ShiftedPoisson(BLUR, ELECTRONS, 2.5, 3.0, 20.0),
    "ShiftedPoisson, identity": ShiftedPoisson(Identity(SHAPE), ELECTRONS, 2.5, 3.0, 20.0),
}
every_term = pytest.mark.parametrize("name", TERMS)
with_prox = pytest.mark.parametrize(
    "name", [name for name in TERMS if name not in ("Poisson", "ShiftedPoisson")]
)


def points(seed):
    """An image, part of it negative, and a direction."""
    image, direction = jax.random.normal(jax.random.key(seed), (2, *SHAPE))
    return 0.5 + image, direction


@every_term
def test_gradient_is_that_of_the_value(name):
    data = TERMS[name]
    x, direction = points(1)
    gradient = data.gradient(x)
    np.testing.assert_allclose(gradient, jax.grad(data.value)(x), rtol=1e-10, atol=1e-10)
    inner, outer = (
        data.value(x + h * direction) - data.value(x - h * direction) for h in (1e-5, 2e-5)
    )
    difference = (8 * inner - outer) / 12e-5
    np.testing.assert_allclose(jnp.vdot(gradient, direction), difference, rtol=1e-7)


@every_term
def test_lipschitz_bounds_the_curvature(name):
    data = TERMS[name]
    bound = data.lipschitz()
    x, _ = points(2)
    for z in (x, jnp.zeros(SHAPE), -x):
        hessian = jax.hessian(data.value)(z).reshape(x.size, x.size)
        assert np.linalg.norm(hessian, 2) <= bound * (1 + 1e-6)
    if name.startswith("Gaussian"):
        np.testing.assert_allclose(np.linalg.norm(hessian, 2), bound, rtol=1e-4)


@with_prox
@pytest.mark.parametrize("step", [1e-3, 0.3])
def test_prox_is_the_minimiser(name, step):
    data = TERMS[name]
    v, _ = points(3)
    x = data.prox(v, step)
    condition = step * data.gradient(x) + x - v
    np.testing.assert_allclose(condition, 0, atol=1e-9 * (1 + step * float(data.lipschitz())))


@with_prox
def test_prox_is_differentiable(name):
    data = TERMS[name]
    v, direction = points(4)

    def loss(data, v, step):
        return jnp.sum(data.prox(v, step) ** 3)

    arrays, rest = eqx.partition(data, eqx.is_inexact_array)
    gradient = eqx.filter_jit(eqx.filter_grad(lambda a, v: loss(eqx.combine(a, rest), v, 0.01)))(
        arrays, v
    )
    assert all(jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))
    slope = jax.grad(loss, 1)(data, v, 0.01)
    inner, outer = (
        loss(data, v + h * direction, 0.01) - loss(data, v - h * direction, 0.01)
        for h in (1e-4, 2e-4)
    )
    difference = (8 * inner - outer) / 12e-4
    np.testing.assert_allclose(jnp.vdot(slope, direction), difference, rtol=1e-5)


def test_gaussian_and_poisson_differ_from_scipy_by_a_constant():
    x, other = TRUTH, 0.5 * TRUTH
    gaussian = TERMS["Gaussian"]
    expected = [-scipy.stats.norm.logpdf(BLUR(z), gaussian.y, 0.1).sum() for z in (x, other)]
    found = gaussian.value(other) - gaussian.value(x)
    np.testing.assert_allclose(found, expected[1] - expected[0], rtol=1e-10)

    poisson = TERMS["Poisson"]
    rates = [20 * np.asarray(BLUR(z)) + 3 for z in (x, other)]
    expected = [-scipy.stats.poisson.logpmf(np.asarray(COUNTS), rate).sum() for rate in rates]
    found = poisson.value(other) - poisson.value(x)
    np.testing.assert_allclose(found, expected[1] - expected[0], rtol=1e-10)


def test_weights_are_inverse_variances_and_missing_pixels_have_none():
    x = points(5)[0]
    seen = np.isfinite(DEVIATION)
    expected = np.sum(((BLUR(x) - BLUR(TRUTH)) / DEVIATION)[seen] ** 2) / 2
    np.testing.assert_allclose(TERMS["Gaussian, weighted"].value(x), expected)
    y = jnp.where(seen, BLUR(TRUTH), jnp.nan)
    np.testing.assert_allclose(Gaussian.weighted(BLUR, y, DEVIATION).value(x), expected)
    with pytest.raises(ValueError, match=r"deviation\) has shape"):
        Gaussian.weighted(BLUR, BLUR(TRUTH), DEVIATION[..., 0])
    with pytest.raises(ValueError, match=r"deviation\) must be above 0"):
        Gaussian.weighted(BLUR, BLUR(TRUTH), 0 * DEVIATION.at[0].set(0))


@every_term
def test_the_start_is_the_best_multiple_of_the_back_projection(name):
    data = TERMS[name]
    x = data.start()
    assert x.shape == SHAPE
    counts = getattr(data, "poisson", data)
    signal = data.y
    if isinstance(counts, Poisson):
        signal = jnp.maximum(counts.y - counts.background, 0) / counts.peak

    def misfit(factor):
        found = jax.tree.leaves(data.operator(factor * x))
        gaps = [a - b for a, b in zip(found, jax.tree.leaves(signal), strict=True)]
        return sum(jnp.sum(jnp.abs(gap) ** 2) for gap in gaps)

    assert misfit(1.0) < min(misfit(0.99), misfit(1.01))
    back = data.operator.adjoint(signal)
    np.testing.assert_allclose(x * jnp.linalg.norm(back), back * jnp.linalg.norm(x), atol=1e-12)


def test_a_start_from_nothing_is_nothing():
    assert not np.any(Gaussian(BLUR, jnp.zeros(SHAPE), 0.1).start())


def test_poisson_prox_of_the_identity_is_the_published_one():
    data = Poisson(Identity(SHAPE), COUNTS)
    v, step = jnp.asarray(random.uniform(0, 30, size=SHAPE)), 0.7
    expected = (v - step + jnp.sqrt((v - step) ** 2 + 4 * step * COUNTS)) / 2
    np.testing.assert_allclose(data.prox(v, step), expected, rtol=1e-12)


def test_counts_without_background():
    data = Poisson(Identity(SHAPE), COUNTS)
    assert data.value(COUNTS) == 0
    assert jnp.isinf(data.lipschitz())
    assert jnp.isinf(data.value(-TRUTH))
    gradient = jax.grad(data.value)(10 * TRUTH)
    np.testing.assert_allclose(gradient, 1 - COUNTS / (10 * TRUTH), rtol=1e-12)
    empty = Poisson(Identity(SHAPE), jnp.zeros(SHAPE))
    np.testing.assert_allclose(empty.value(TRUTH), jnp.sum(TRUTH))
    np.testing.assert_allclose(empty.gradient(jnp.zeros(SHAPE)), 1)


def test_shifted_poisson_has_mean_and_variance_of_the_mixture():
    """Its gradient has zero mean at the truth: an unbiased estimating equation."""
    counts = random.poisson(20 * np.asarray(TRUTH) + 3, size=(20_000, *SHAPE))
    electrons = jnp.asarray(counts + 2.5 * random.standard_normal(counts.shape))

    def slope(y):
        return ShiftedPoisson(Identity(SHAPE), y, 2.5, 3.0, 20.0).gradient(TRUTH)

    slopes = jax.jit(jax.vmap(slope))(electrons)
    error = jnp.std(slopes, 0) / np.sqrt(len(slopes))
    assert jnp.all(jnp.abs(jnp.mean(slopes, 0)) < 5 * error)
    # The variance of the score is the information -- the test of a likelihood's curvature.
    information = 20.0**2 / (20 * TRUTH + 3 + 2.5**2)
    np.testing.assert_allclose(jnp.var(slopes, 0), information, rtol=0.06)


@every_term
def test_batches_are_vmapped_and_new_numbers_compile_nothing(name):
    data, count = TERMS[name], 0

    @eqx.filter_jit
    def gradients(data, batch):
        nonlocal count
        count += 1
        return jax.vmap(data.gradient)(batch)

    batch = jnp.stack([points(1)[0], points(2)[0]])
    np.testing.assert_allclose(gradients(data, batch)[1], data.gradient(batch[1]), rtol=1e-9)
    other = jax.tree.map(lambda leaf: 2 * leaf if eqx.is_inexact_array(leaf) else leaf, data)
    gradients(other, batch + 1)
    assert count == 1


@every_term
def test_single_precision_stays_single(name):
    def lower(leaf):
        if not eqx.is_inexact_array(leaf):
            return leaf
        return leaf.astype(jnp.complex64 if jnp.iscomplexobj(leaf) else jnp.float32)

    data = jax.tree.map(lower, TERMS[name])
    x = points(1)[0].astype(jnp.float32)
    assert data.value(x).dtype == jnp.float32
    assert data.gradient(x).dtype == jnp.float32
    np.testing.assert_allclose(data.value(x), TERMS[name].value(points(1)[0]), rtol=1e-4)
    if name not in ("Poisson", "ShiftedPoisson"):
        assert data.prox(x, 0.1).dtype == jnp.float32


def test_whole_numbers_of_counts_are_taken():
    data = Poisson(BLUR, np.asarray(COUNTS).astype(np.uint16))
    np.testing.assert_array_equal(data.y, COUNTS)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Poisson(BLUR, COUNTS - 100), r"Poisson\(y\), counts, must be at least 0"),
        (lambda: Gaussian(BLUR, TRUTH.at[0, 0].set(jnp.nan), 0.1), "NaN.*Inpainting"),
        (lambda: Gaussian(BLUR, jnp.zeros((6, 5, 3)), 0.1), "measures arrays of shape"),
        (lambda: Gaussian(BLUR, TRUTH, 0.0), r"Gaussian\(sigma\) must be above 0"),
        (lambda: Gaussian(BLUR, TRUTH, jnp.ones(3)), "must be one number"),
        (lambda: Gaussian(None, TRUTH, 0.1), "must be an Operator"),
        (lambda: Poisson(BLUR, COUNTS, -1.0), r"Poisson\(background\) must be at least 0"),
        (lambda: Poisson(BLUR, COUNTS, jnp.ones(4)), "one number or of y's shape"),
        (lambda: Poisson(BLUR, COUNTS, 0.0, 0.0), r"Poisson\(peak\) must be above 0"),
        (lambda: ShiftedPoisson(BLUR, ELECTRONS, -1.0), r"\(sigma\) must be above 0"),
        (lambda: TERMS["Poisson"].prox(TRUTH, 1.0), "RichardsonLucy"),
        (lambda: TERMS["Poisson"].value(jnp.ones((6, 5, 3))), "acts on images of shape"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(build, message):
    with pytest.raises(ValueError, match=message):
        build()
