"""Arithmetic on pytrees, complex leaves included."""

import jax.numpy as jnp
import numpy as np

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


def test_arrays_leaves_structure_alone():
    tree = trees.arrays({"x": 1.5, "n": 3, "name": "a", "v": np.ones(2), "z": 1j})
    assert tree["n"] == 3
    assert tree["name"] == "a"
    assert tree["x"].weak_type
    assert tree["v"].dtype == float
    assert tree["z"].dtype == complex
