"""Arithmetic on pytrees, complex leaves included."""

import jax.numpy as jnp
import numpy as np
import pytest

from unrolljax.core import trees

TREE = {"a": jnp.asarray([1.0, -2.0]), "b": (jnp.asarray(3.0 + 4.0j),)}


def test_norm_counts_moduli():
    np.testing.assert_allclose(trees.norm(TREE), np.sqrt(1 + 4 + 25))


def test_real_pair_and_back():
    pairs = trees.real_pair(TREE)
    assert pairs["b"][0] == (3.0, 4.0)
    back = trees.from_real_pair(pairs, TREE)
    np.testing.assert_array_equal(back["b"][0], TREE["b"][0])
    np.testing.assert_array_equal(back["a"], TREE["a"])


def test_the_gradient_of_a_complex_leaf_points_uphill():
    slope = trees.gradient(lambda z: jnp.abs(z - (1 + 2j)) ** 2, jnp.asarray(0.0 + 0.0j))
    np.testing.assert_allclose(slope, -2 - 4j)


def test_real_dot_is_the_inner_product_of_pairs():
    a, b = jnp.asarray([1 + 2j, 3j]), jnp.asarray([2 - 1j, 1 + 1j])
    np.testing.assert_allclose(trees.real_dot(a, b), np.vdot(a, b).real)


@pytest.mark.parametrize("shape", [(4096,), (71, 3, 29)])
def test_long_leaves_are_summed_like_short_ones(shape):
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape) for _ in range(2))
    found = trees.real_dot(jnp.asarray(a), jnp.asarray(b))
    np.testing.assert_allclose(found, np.vdot(a, b).real, rtol=1e-12)
    np.testing.assert_allclose(trees.norm(jnp.asarray(a)), np.linalg.norm(a), rtol=1e-14)


def test_arrays_leaves_structure_alone():
    tree = trees.arrays({"x": 1.5, "n": 3, "name": "a", "v": np.ones(2), "z": 1j})
    assert tree["n"] == 3
    assert tree["name"] == "a"
    assert tree["x"].weak_type
    assert tree["v"].dtype == float
    assert tree["z"].dtype == complex
