"""Tied networks at their fixed points, and untied ones: every gradient mode says the same."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unrolljax as uj
from unrolljax import sparse
from unrolljax.lab.compilations import counted
from unrolljax.sparse.networks import ALISTA, SLISTA, CoupledLISTA, HybridLISTA, decode
from unrolljax.sparse.partition import Blocks, Entries
from unrolljax.sparse.problems.group_lasso import GroupLasso
from unrolljax.sparse.sensing import Recovery, Sensing

M, N = 8, 10
rng = np.random.default_rng(0)
A = rng.standard_normal((M, N))
SENSING = Sensing.of(A / np.linalg.norm(A, axis=0))
STEP = 0.9 / float(jnp.linalg.norm(SENSING.A, 2)) ** 2
Y = jnp.asarray(rng.standard_normal((3, M)))
DIRECTION = jnp.asarray(rng.standard_normal(N))
TIED = {
    "ALISTA": ALISTA.start(1, 0.3, 0.05, dtype=jnp.float64),
    "CoupledLISTA": CoupledLISTA.start(SENSING, 1, STEP, 0.1 * STEP),
    "SLISTA": SLISTA.start(1, STEP, jnp.asarray(0.1), dtype=jnp.float64),
}
FIXED = uj.Stop(20_000, 1e-13)
LONG = uj.Stop(3000, tol=None)
ZERO = jnp.zeros(N)


def moved(network, size):
    """All learned numbers of a network shifted along a fixed direction."""
    leaves, structure = jax.tree.flatten(eqx.filter(network, eqx.is_inexact_array))
    random = np.random.default_rng(1)
    shift = [size * jnp.asarray(random.standard_normal(v.shape)) for v in leaves]
    return eqx.apply_updates(network, jax.tree.unflatten(structure, shift))


def along(gradient):
    """A gradient's slope in that direction."""
    random = np.random.default_rng(1)
    leaves = jax.tree.leaves(gradient)
    return sum(jnp.sum(v * jnp.asarray(random.standard_normal(v.shape))) for v in leaves)


@eqx.filter_jit
def loss(network, gradient, stop, y):
    found = uj.solve(network, Recovery(SENSING, y), ZERO, gradient=gradient, stop=stop)
    return jnp.sum((found.value - DIRECTION) ** 2)


@eqx.filter_jit
def slope(network, gradient, stop, y=Y[0]):
    return along(eqx.filter_grad(loss)(network, gradient, stop, y))


def differences(network, stop, y=Y[0], size=1e-5):
    ahead, behind = (loss(moved(network, h), uj.Detach(), stop, y) for h in (size, -size))
    return (ahead - behind) / (2 * size)


@pytest.mark.parametrize("name", TIED)
def test_a_tied_network_s_gradients_agree_at_its_fixed_point(name):
    network = TIED[name]
    expected = slope(network, uj.Implicit(tol=1e-11), FIXED)
    assert abs(expected) > 1e-3
    np.testing.assert_allclose(differences(network, FIXED), expected, rtol=1e-6)
    np.testing.assert_allclose(slope(network, uj.Unroll(), LONG), expected, rtol=1e-7)
    truncated = slope(network, uj.Truncated(depth=1500), LONG)
    np.testing.assert_allclose(truncated, expected, rtol=1e-5)


def test_slista_s_fixed_point_is_the_lasso_s_solution():
    """For every step, and so the solution has no derivative in the step."""
    classical = uj.solvers.ProximalGradient(STEP, accelerated=True)
    expected = uj.solve(classical, sparse.Lasso(SENSING.A, Y[0], 0.1), ZERO, stop=FIXED).value
    assert 0 < np.sum(np.asarray(expected) == 0) < N
    for share in (0.5, 1.0):
        network = SLISTA.start(1, share * STEP, 0.1, dtype=jnp.float64)
        found = uj.solve(network, Recovery(SENSING, Y[0]), ZERO, stop=FIXED).raise_if_failed()
        np.testing.assert_allclose(found.value, expected, atol=1e-10)
    still = eqx.filter_grad(loss)(TIED["SLISTA"], uj.Implicit(tol=1e-11), FIXED, Y[0])
    np.testing.assert_allclose(still.layers.log_step, 0, atol=1e-9)


def test_slista_on_groups_solves_the_group_lasso():
    network = SLISTA.start(1, STEP, 0.3, Blocks(2), dtype=jnp.float64)
    found = uj.solve(network, Recovery(SENSING, Y[0]), ZERO, stop=FIXED).raise_if_failed()
    problem = GroupLasso(SENSING.A, Y[0], 0.3, Blocks(2))
    assert problem.duality_gap(found.value) < 1e-10
    assert 0 < np.sum(np.asarray(found.value) == 0) < N


UNTIED = {
    "ALISTA": ALISTA.start(5, 0.3, 0.05, dtype=jnp.float64),
    "HybridLISTA": HybridLISTA.start(5, Entries(), dtype=jnp.float64),
}


@pytest.mark.parametrize("name", UNTIED)
def test_untied_layers_have_the_gradients_of_differences_however_taped(name):
    network, stop = UNTIED[name], uj.Stop(5, tol=None)
    expected = slope(network, uj.Unroll(), stop)
    assert abs(expected) > 1e-3
    np.testing.assert_allclose(slope(network, uj.Unroll("sqrt"), stop), expected, rtol=1e-12)
    np.testing.assert_allclose(differences(network, stop), expected, rtol=1e-6)
    assert slope(network, uj.Detach(), stop) == 0


def test_a_batch_is_as_its_rows_and_the_mode_changes_no_value():
    network = TIED["CoupledLISTA"]
    together = decode(network, SENSING, Y, uj.Implicit(), FIXED).raise_if_failed().value
    for row, y in enumerate(Y):
        alone = uj.solve(network, Recovery(SENSING, y), ZERO, gradient=uj.Detach(), stop=FIXED)
        np.testing.assert_allclose(together[row], alone.value, atol=1e-11)


def test_single_precision_agrees_with_double():
    def single(tree):
        return jax.tree.map(lambda v: jnp.asarray(v, jnp.float32), tree)

    stop = uj.Stop(2000, 2e-6)

    def value(network):
        found = uj.solve(network, single(Recovery(SENSING, Y[0])), single(ZERO), stop=stop)
        return jnp.sum((found.value - single(DIRECTION)) ** 2)

    network = TIED["CoupledLISTA"]
    gradient = eqx.filter_grad(value)(single(network))
    assert {v.dtype for v in jax.tree.leaves(gradient)} == {jnp.dtype("float32")}
    found = along(jax.tree.map(lambda v: v.astype(float), gradient))
    np.testing.assert_allclose(found, slope(network, uj.Implicit(tol=1e-11), FIXED), rtol=5e-3)


def test_other_numbers_compile_nothing():
    network, other = TIED["ALISTA"], ALISTA.start(1, 0.25, 0.08, dtype=jnp.float64)
    slope(network, uj.Implicit(tol=1e-11), FIXED, Y[0])
    y = 2 * Y[1]
    with counted() as compiled:
        slope(other, uj.Implicit(tol=1e-11), FIXED, y)
    assert compiled.count == 0
