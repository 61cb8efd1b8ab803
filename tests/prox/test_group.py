import jax
import jax.numpy as jnp
import jaxopt
import numpy as np
import pytest

from unrolljax import prox

RNG = np.random.default_rng(0)
V = jnp.asarray(RNG.standard_normal((5, 3)))
Z = jax.lax.complex(V, jnp.asarray(RNG.standard_normal((5, 3))))
LABELS = jnp.array([3, 0, 0, 1, 3, 3, 1])  # group 2 is empty
WEIGHTS = jnp.array([0.4, 0.9, 0.3, 1.2])


def test_l2_agrees_with_jaxopt():
    np.testing.assert_allclose(prox.l2(V, 0.8), jaxopt.prox.prox_group_lasso(V, 0.8), rtol=1e-14)


def test_groups_along_an_axis_are_separate_blocks():
    thresholds = jnp.linspace(0.2, 2.5, 5)
    expected = jax.vmap(jaxopt.prox.prox_group_lasso)(V, thresholds)
    np.testing.assert_allclose(prox.group_lasso(V, thresholds), expected, rtol=1e-14)
    np.testing.assert_allclose(prox.group_lasso(V.T, thresholds, axis=0), expected.T, rtol=1e-14)
    assert jnp.any(jnp.all(expected == 0, axis=1))
    assert jnp.any(jnp.all(expected != 0, axis=1))


def test_labelled_groups_of_unequal_sizes_are_separate_blocks():
    v = jnp.asarray(RNG.standard_normal(7))
    x = prox.labelled_group_lasso(v, WEIGHTS, LABELS, 4)
    for group in (0, 1, 3):
        members = group == LABELS
        np.testing.assert_allclose(x[members], prox.l2(v[members], WEIGHTS[group]), rtol=1e-14)
    norms = prox.labelled_group_norm(v, LABELS, 4)
    np.testing.assert_allclose(norms[3], jnp.linalg.norm(v[LABELS == 3]), rtol=1e-14)
    assert norms[2] == 0


def test_labels_may_have_the_shape_of_a_matrix():
    v, labels = V[:, :2], jnp.arange(10).reshape(5, 2) % 3
    flat = prox.labelled_group_lasso(v.ravel(), 0.5, labels.ravel(), 3)
    np.testing.assert_array_equal(prox.labelled_group_lasso(v, 0.5, labels, 3).ravel(), flat)


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_out_of_range_is_not_silent(label):
    x = prox.labelled_group_lasso(jnp.ones(3), 0.1, jnp.array([0, label, 2]), 3)
    np.testing.assert_array_equal(jnp.isnan(x), [False, True, False])


def test_complex_groups_are_groups_of_real_and_imaginary_parts():
    pairs = jnp.stack([jnp.real(Z), jnp.imag(Z)], axis=-1)
    expected = prox.group_lasso(pairs, 1.0, axis=(-2, -1))
    np.testing.assert_allclose(
        prox.group_lasso(Z, 1.0), jax.lax.complex(expected[..., 0], expected[..., 1]), rtol=1e-14
    )


def test_jacobian_of_a_block():
    v, threshold = V[0], 0.3
    norm = jnp.linalg.norm(v)
    radial = jnp.outer(v, v) / norm**2
    expected = (1 - threshold / norm) * (jnp.eye(3) - radial) + radial
    np.testing.assert_allclose(jax.jacobian(prox.l2)(v, threshold), expected, rtol=1e-13)


def test_zero_blocks_have_finite_derivatives_of_both_orders():
    zero = jnp.zeros(3)
    np.testing.assert_array_equal(jax.jacobian(prox.l2)(zero, 0.5), jnp.zeros((3, 3)))
    np.testing.assert_array_equal(jax.jacobian(prox.l2)(zero, 0.0), jnp.eye(3))
    np.testing.assert_array_equal(jax.grad(prox.group_norm)(zero), zero)
    assert jnp.all(jnp.isfinite(jax.jit(jax.hessian(prox.group_norm))(zero)))
    assert jnp.all(jnp.isfinite(jax.jit(jax.jacobian(jax.jacobian(prox.l2)))(zero, 0.5)))


def test_an_infinite_threshold_removes_the_group():
    x, pullback = jax.vjp(prox.l2, V[0], jnp.asarray(jnp.inf))
    np.testing.assert_array_equal(x, jnp.zeros(3))
    for cotangent in pullback(jnp.ones(3)):
        np.testing.assert_array_equal(cotangent, jnp.zeros_like(cotangent))
