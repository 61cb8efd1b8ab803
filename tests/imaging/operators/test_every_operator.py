"""What holds for every operator of the package; a new class must enter the table."""

import importlib
import pkgutil

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from unrolljax.imaging import operators
from unrolljax.imaging.operators import Operator, dot_test

SHAPE = (8, 8, 1)
random = np.random.default_rng(0)
KERNEL = random.uniform(size=(3, 5))
MASK = random.uniform(size=(8, 8)) < 0.7
WEIGHTS = random.uniform(size=(8, 8))
COILS = random.standard_normal((3, 8, 8)) + 1j * random.standard_normal((3, 8, 8))
BLUR = operators.Blur(jnp.asarray(KERNEL), SHAPE)


def inpainted_blur(shape=SHAPE):
    return operators.Compose(
        operators.Inpainting(MASK, shape), operators.Blur(jnp.asarray(KERNEL), shape)
    )


CASES = {
    "Blur": BLUR,
    "Blur of two channels": operators.Blur(jnp.asarray(random.uniform(size=(3, 5, 2))), (9, 8, 2)),
    "Blur by an even kernel": operators.Blur(jnp.asarray(random.uniform(size=(4, 2))), (5, 6, 1)),
    "ValidBlur": operators.ValidBlur(jnp.asarray(KERNEL), SHAPE),
    "ValidBlur by an even kernel": operators.ValidBlur(
        jnp.asarray(random.uniform(size=(4, 2))), (7, 6, 2)
    ),
    "Identity": operators.Identity(SHAPE),
    "Inpainting": operators.Inpainting(MASK, (8, 8, 2)),
    "Inpainting with weights": operators.Inpainting(jnp.asarray(WEIGHTS), SHAPE),
    "Downsampling": operators.Downsampling(jnp.asarray(KERNEL), (8, 6, 2), 2),
    "Fourier": operators.Fourier(MASK, (8, 8, 2)),
    "Fourier of odd images": operators.Fourier(jnp.asarray(WEIGHTS[:7, :5]), (7, 5, 1)),
    "Fourier of complex images": operators.Fourier(MASK, SHAPE, complex_images=True),
    "MultiCoil": operators.MultiCoil(jnp.asarray(COILS), MASK, SHAPE),
    "MultiCoil of real images": operators.MultiCoil(
        jnp.asarray(COILS), MASK, SHAPE, complex_images=False
    ),
    "SpaceVariantBlur": operators.SpaceVariantBlur(
        jnp.asarray(random.uniform(size=(2, 3, 5))), jnp.stack([WEIGHTS, 1 - WEIGHTS]), SHAPE
    ),
    "NonuniformFourier": operators.NonuniformFourier(
        jnp.asarray(random.uniform(-0.5, 0.5, size=(9, 2))), SHAPE
    ),
    "Radon": operators.Radon(jnp.array([0.3, 1.2, -2.0, 9.1]), (5, 4, 2)),
    "Compose": inpainted_blur(),
    "Compose complex": operators.Compose(operators.Fourier(MASK, SHAPE), BLUR),
    "Stack": operators.Stack(BLUR, operators.Fourier(MASK, SHAPE)),
    "Scaled": operators.Scaled(BLUR, -1.7),
}
every_case = pytest.mark.parametrize("name", CASES)


def test_every_operator_of_the_package_is_in_the_table():
    found = set()
    for module in pkgutil.walk_packages(operators.__path__, operators.__name__ + "."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, Operator) and value is not Operator:
                found.add(value.__name__)
    assert found == {type(operator).__name__ for operator in CASES.values()}


def real_matrix(operator: Operator) -> np.ndarray:
    """The operator as a matrix between real vectors (real and imaginary parts)."""
    start = jnp.zeros(operator.shape, operator.image_dtype)
    parts = [start.real, start.imag] if operator.complex_images else [start]
    flat, unravel = ravel_pytree(parts)

    def apply(vector):
        image = unravel(vector)
        x = jax.lax.complex(*image) if operator.complex_images else image[0]
        leaves = jax.tree.leaves(operator(x))
        parts = [part.ravel() for leaf in leaves for part in (leaf.real, leaf.imag)]
        return jnp.concatenate(parts)

    return np.asarray(jax.jit(jax.vmap(apply, out_axes=1))(jnp.eye(flat.size)))


def real_vector(x) -> np.ndarray:
    x = np.asarray(x).ravel()
    return np.concatenate([x.real, x.imag]) if np.iscomplexobj(x) else x


def draw(operator: Operator, seed: int):
    return jax.random.normal(jax.random.key(seed), operator.shape, operator.image_dtype)


def cast(operator: Operator, dtype) -> Operator:
    def lower(leaf):
        if not eqx.is_inexact_array(leaf):
            return leaf
        return leaf.astype(jnp.complex64 if jnp.iscomplexobj(leaf) else dtype)

    return jax.tree.map(lower, operator)


@every_case
def test_dot_product(name):
    for seed in range(3):
        assert dot_test(CASES[name], jax.random.key(seed)) < 1e-12
        operator = cast(CASES[name], jnp.float32)
        dtype = "complex64" if operator.complex_images else "float32"
        error = dot_test(operator, jax.random.key(seed), dtype)
        assert error.dtype == jnp.float32
        assert error < 1e-6


@every_case
def test_norm_is_the_largest_singular_value(name):
    operator = CASES[name]
    expected = np.linalg.norm(real_matrix(operator), 2)
    np.testing.assert_allclose(eqx.filter_jit(operator.norm)(), expected, rtol=1e-5)
    general = eqx.filter_jit(Operator.norm)(operator, 1e-6)
    np.testing.assert_allclose(general, expected, rtol=1e-10)


@every_case
def test_gram_solve_and_tikhonov_are_those_of_the_matrix(name):
    operator, shift = CASES[name], jnp.asarray(0.3)
    matrix = real_matrix(operator)
    gram = matrix.T @ matrix
    x = draw(operator, 1)
    np.testing.assert_allclose(real_vector(operator.gram(x)), gram @ real_vector(x), atol=1e-12)

    shifted = gram + 0.3 * np.eye(len(gram))
    expected = np.linalg.solve(shifted, real_vector(x))
    solved = eqx.filter_jit(operator.solve)(x, shift)
    np.testing.assert_allclose(real_vector(solved), expected, atol=1e-8)
    general = eqx.filter_jit(Operator.solve)(operator, x, shift)
    np.testing.assert_allclose(real_vector(general), expected, atol=1e-8)

    y = operator(draw(operator, 2))
    expected = np.linalg.solve(shifted, real_vector(operator.adjoint(y)))
    found = eqx.filter_jit(operator.tikhonov)(y, shift)
    np.testing.assert_allclose(real_vector(found), expected, atol=1e-8)


@every_case
def test_solve_is_differentiated_in_arrays_rhs_and_shift(name):
    operator = CASES[name]
    arrays, rest = eqx.partition(operator, eqx.is_inexact_array)
    target = draw(operator, 2)

    def loss(arrays, x, shift):
        solved = eqx.combine(arrays, rest).solve(x, shift)
        return jnp.sum(jnp.real(jnp.conj(target) * solved))

    point = (arrays, draw(operator, 1), jnp.asarray(0.5))
    direction = jax.tree.map(
        lambda leaf: jax.random.normal(jax.random.key(3), leaf.shape, leaf.dtype), point
    )
    _, slope = eqx.filter_jit(jax.jvp)(loss, point, direction)
    gradient = eqx.filter_jit(jax.grad(loss, (0, 1, 2)))(*point)
    products = jax.tree.map(lambda g, d: jnp.real(jnp.sum(g * d)), gradient, direction)
    reverse = sum(jax.tree.leaves(products))

    def shifted(size):
        moved = jax.tree.map(
            lambda leaf, d: leaf + jnp.asarray(size, leaf.dtype) * d, point, direction
        )
        return eqx.filter_jit(loss)(*moved)

    # Of fourth order, with steps so wide that the tolerance of an inner iteration does not matter.
    inner, outer = (shifted(h) - shifted(-h) for h in (2e-4, 4e-4))
    difference = (8 * inner - outer) / 24e-4
    np.testing.assert_allclose(slope, difference, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(reverse, slope, rtol=1e-7, atol=1e-10)


@every_case
def test_diagonal_is_the_operator(name):
    operator = CASES[name]
    diagonal = operator.diagonal()
    if diagonal is not None:
        x = draw(operator, 1)
        np.testing.assert_allclose(operator(x), diagonal * x)
        assert diagonal.shape == operator.shape


@every_case
def test_batches_are_vmapped(name):
    operator = CASES[name]
    batch = jnp.stack([draw(operator, 1), draw(operator, 2)])
    shifts = jnp.array([0.5, 2.0])
    many = eqx.filter_jit(eqx.filter_vmap(operator.solve))(batch, shifts)
    one = operator.solve(batch[1], shifts[1])
    np.testing.assert_allclose(many[1], one, atol=1e-9)


@every_case
def test_images_of_another_shape_or_kind_are_refused(name):
    operator = CASES[name]
    height, width, channels = operator.shape
    for shape in [(height, width), (height, width, channels + 1), (height + 1, width, channels)]:
        with pytest.raises(ValueError, match="acts on images of shape"):
            operator(jnp.zeros(shape))
    with pytest.raises(ValueError, match="float images"):
        operator(jnp.zeros(operator.shape, int))
    with pytest.raises(ValueError, match="measures arrays of shape"):
        operator.adjoint(jnp.zeros((3, 3)))


@every_case
def test_new_numbers_compile_nothing(name):
    operator = CASES[name]
    count = 0

    @eqx.filter_jit
    def solve(operator, x, shift):
        nonlocal count
        count += 1
        return operator.solve(x, shift)

    solve(operator, draw(operator, 1), jnp.asarray(0.5))
    other = jax.tree.map(lambda leaf: 2 * leaf if eqx.is_inexact_array(leaf) else leaf, operator)
    solve(other, draw(operator, 2), jnp.asarray(0.7))
    assert count == 1


def test_visibilities_are_the_direct_sum():
    operator = CASES["NonuniformFourier"]
    x = draw(operator, 1)
    rows, columns = np.mgrid[-4:4, -4:4]
    u, v = np.asarray(operator.baselines).T[..., None, None]
    waves = np.exp(-2j * np.pi * (v * rows + u * columns))
    np.testing.assert_allclose(
        operator(x)[:, 0], (waves * np.asarray(x[..., 0])).sum((1, 2)), atol=1e-12
    )


def test_equal_kernels_make_a_blur_of_a_space_variant_one():
    kernels = jnp.stack([BLUR.kernel, BLUR.kernel])
    operator = operators.SpaceVariantBlur(kernels, jnp.stack([WEIGHTS, 1 - WEIGHTS]), SHAPE)
    x = draw(BLUR, 1)
    np.testing.assert_allclose(operator(x), BLUR(x), atol=1e-12)
