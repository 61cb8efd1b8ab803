import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unrolljax import prox

RNG = np.random.default_rng(1)


def orthonormal(rows, columns, complex_valued=False):
    x = RNG.standard_normal((rows, columns))
    if complex_valued:
        x = x + 1j * RNG.standard_normal((rows, columns))
    return jnp.asarray(np.linalg.qr(x)[0])


def with_singular_values(values, rows=5, columns=3, complex_valued=False):
    values = jnp.asarray(values).astype(jnp.complex128 if complex_valued else jnp.float64)
    U = orthonormal(rows, len(values), complex_valued)
    V = orthonormal(columns, len(values), complex_valued)
    return (U * values[None, :]) @ jnp.conj(V.T)


def directional_difference(function, x, direction, h=1e-5):
    return (function(x + h * direction) - function(x - h * direction)) / (2 * h)


@pytest.mark.parametrize("transposed", [False, True])
def test_shrinks_the_singular_values_only(transposed):
    v = with_singular_values([3.0, 1.5, 0.2])
    v = v.T if transposed else v
    x = prox.nuclear(v, 1.0)
    np.testing.assert_allclose(jnp.linalg.svd(x)[1], [2.0, 0.5, 0.0], atol=1e-14)
    # Optimality: v - x is a subgradient, of spectral norm <= 1 and <v - x, x> = ||x||_*.
    assert jnp.linalg.norm(v - x, 2) <= 1 + 1e-14
    np.testing.assert_allclose(jnp.sum((v - x) * x), prox.nuclear_norm(x), rtol=1e-14)


@pytest.mark.parametrize("complex_valued", [False, True])
@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (3, 3)])
@pytest.mark.parametrize(
    "values",
    [[3.0, 2.0, 0.5], [2.0, 2.0, 2.0], [2.0, 2.0, 0.5], [2.0, 0.5, 0.5], [2.0, 0.0, 0.0]],
    ids=["distinct", "all_equal", "equal_above", "equal_below", "zeros"],
)
def test_derivative_is_exact_for_repeated_singular_values(values, shape, complex_valued):
    v = with_singular_values(values, *shape, complex_valued)
    direction = with_singular_values([1.0, 0.7, 0.3], *shape, complex_valued)
    nuclear, one = jax.jit(prox.nuclear), jnp.asarray(1.0)
    forward = jax.jvp(nuclear, (v, one), (direction, 0 * one))[1]
    expected = directional_difference(lambda v: nuclear(v, one), v, direction)
    np.testing.assert_allclose(forward, expected, atol=1e-9)
    slope = jax.jvp(nuclear, (v, one), (0 * direction, one))[1]
    expected = directional_difference(lambda t: nuclear(v, t), one, one)
    np.testing.assert_allclose(slope, expected, atol=1e-9)


@pytest.mark.parametrize("values", [[1.0, 1.0, 0.5], [0.0, 0.0, 0.0]])
@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_derivative_is_finite_at_the_threshold(values, threshold):
    v = with_singular_values(values)
    for cotangent in jax.vjp(prox.nuclear, v, jnp.asarray(threshold))[1](jnp.ones((5, 3))):
        assert jnp.all(jnp.isfinite(cotangent))


def test_without_penalty_the_derivative_is_the_identity():
    zero, direction = jnp.zeros((4, 2)), with_singular_values([1.0, 0.5], 4, 2)
    forward = jax.jvp(lambda v: prox.nuclear(v, 0.0), (zero,), (direction,))[1]
    np.testing.assert_allclose(forward, direction, atol=1e-14)


def test_nuclear_norm_has_a_subgradient_at_repeated_singular_values():
    v = with_singular_values([2.0, 2.0, 0.0])
    subgradient = jax.grad(prox.nuclear_norm)(v)
    assert jnp.linalg.norm(subgradient, 2) <= 1 + 1e-12
    np.testing.assert_allclose(jnp.sum(subgradient * v), 4.0, rtol=1e-12)


@pytest.mark.parametrize("complex_valued", [False, True])
@pytest.mark.parametrize("values", [[2.0, 1.0, -1.0], [2.0, 2.0, -1.0], [2.0, -1.0, -1.0]], ids=str)
def test_positive_semidefinite_projection(values, complex_valued):
    Q = orthonormal(3, 3, complex_valued)
    diagonal = jnp.asarray(values).astype(Q.dtype)
    v = (Q * diagonal[None, :]) @ jnp.conj(Q.T)
    skew = with_singular_values([1.0, 0.4, 0.2], 3, 3, complex_valued)
    skew = skew - jnp.conj(skew.T)
    x = prox.project_positive_semidefinite(v + skew)
    expected = (Q * jnp.where(jnp.real(diagonal) > 0, diagonal, 0)[None, :]) @ jnp.conj(Q.T)
    np.testing.assert_allclose(x, expected, atol=1e-14)

    direction = with_singular_values([1.0, 0.7, 0.3], 3, 3, complex_valued)
    forward = jax.jvp(prox.project_positive_semidefinite, (v,), (direction,))[1]
    expected = directional_difference(prox.project_positive_semidefinite, v, direction)
    np.testing.assert_allclose(forward, expected, atol=1e-9)
