"""The linear solve: every method, fallbacks, failures as data, derivatives, batches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unrolljax as uj
from unrolljax.core.solver import Structure
from unrolljax.gradients.adjoint.linear import METHODS, LinearSolve, check_methods

SPD = Structure(symmetric=True, positive_definite=True)
RANDOM = np.random.default_rng(0)
N = 80
ROTATION = np.kron(np.eye(N // 2), np.array([[0.0, 1.0], [-1.0, 0.0]]))
MATRIX = np.eye(N) + 0.5 * RANDOM.normal(size=(N, N)) / np.sqrt(N)
POSITIVE = MATRIX @ MATRIX.T
B = RANDOM.normal(size=N)


def solve(matrix, b, structure=SPD, **options):
    matrix = jnp.asarray(matrix)
    return LinearSolve(**options)(lambda v: matrix @ v, jnp.asarray(b), structure)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_solves_a_positive_definite_system(method):
    u, report = solve(POSITIVE, B, methods=(method,), tol=1e-11)
    assert int(report.status) == uj.Status.CONVERGED
    np.testing.assert_allclose(u, np.linalg.solve(POSITIVE, B), rtol=1e-8)
    assert float(report.residual) <= 1e-11


@pytest.mark.parametrize("method", ["bicgstab", "gmres", "dense", "normal_cg"])
def test_methods_without_symmetry(method):
    u, report = solve(MATRIX, B, Structure(), methods=(method,), tol=1e-11)
    assert int(report.status) == uj.Status.CONVERGED
    np.testing.assert_allclose(u, np.linalg.solve(MATRIX, B), rtol=1e-8)


def test_breakdown_falls_back_and_counts_its_steps():
    """A rotation breaks CG and BiCGStab down at once: `p^T A p = 0`."""
    for structure in (SPD, Structure()):
        u, report = solve(ROTATION, B, structure)
        assert int(report.status) == uj.Status.CONVERGED
        np.testing.assert_allclose(u, np.linalg.solve(ROTATION, B), rtol=1e-8)
    alone = solve(ROTATION, B, Structure(), methods=("bicgstab",))[1]
    assert int(alone.status) == uj.Status.ADJOINT_BREAKDOWN


def test_max_steps_is_a_status():
    _, report = solve(POSITIVE, B, methods=("cg",), max_steps=2, tol=1e-10)
    assert int(report.status) == uj.Status.ADJOINT_MAX_STEPS
    assert int(report.steps) == 2
    assert float(report.residual) > 1e-10


@pytest.mark.parametrize("n", [8, N])
def test_a_singular_system_is_a_breakdown(n):
    singular = np.diag(np.r_[np.zeros(3), np.ones(n - 3)])
    _, report = solve(singular, np.ones(n))
    assert int(report.status) in (uj.Status.ADJOINT_BREAKDOWN, uj.Status.ADJOINT_MAX_STEPS)


def test_non_finite_right_hand_sides_do_not_become_numbers():
    u, report = solve(POSITIVE, np.full(N, np.nan))
    assert int(report.status) == uj.Status.ADJOINT_BREAKDOWN
    assert not np.any(np.isfinite(u))


@pytest.mark.parametrize("method", METHODS)
def test_a_zero_right_hand_side_gives_zero(method):
    u, report = solve(POSITIVE, np.zeros(N), methods=(method,))
    assert int(report.status) == uj.Status.CONVERGED
    assert not np.any(u)


def test_one_broken_element_of_a_batch_breaks_only_itself():
    matrices = jnp.stack([jnp.asarray(POSITIVE), jnp.zeros((N, N)), 2 * jnp.asarray(POSITIVE)])
    u, report = jax.jit(jax.vmap(lambda m: LinearSolve()(lambda v: m @ v, jnp.asarray(B), SPD)))(
        matrices
    )
    codes = [int(c) for c in report.status]
    assert codes == [uj.Status.CONVERGED, uj.Status.ADJOINT_BREAKDOWN, uj.Status.CONVERGED]
    np.testing.assert_allclose(u[2], np.linalg.solve(2 * POSITIVE, B), rtol=1e-7)


@pytest.mark.parametrize("structure", [SPD, Structure()], ids=["symmetric", "general"])
def test_derivatives_in_matrix_and_right_hand_side(structure):
    symmetric = structure.symmetric

    def ours(matrix, b):
        matrix = (matrix + matrix.T) / 2 if symmetric else matrix
        u, _ = LinearSolve(tol=1e-12)(lambda v: matrix @ v, b, structure)
        return jnp.sum(jnp.sin(u))

    def exact(matrix, b):
        matrix = (matrix + matrix.T) / 2 if symmetric else matrix
        return jnp.sum(jnp.sin(jnp.linalg.solve(matrix, b)))

    args = (jnp.asarray(POSITIVE if symmetric else MATRIX), jnp.asarray(B))
    for mine, theirs in zip(
        jax.grad(ours, (0, 1))(*args), jax.grad(exact, (0, 1))(*args), strict=True
    ):
        np.testing.assert_allclose(mine, theirs, atol=1e-8)


def test_a_preconditioner_and_a_guess_save_steps():
    scales = jnp.asarray(np.logspace(0, 5, N))

    def steps(**extra):
        linear = LinearSolve(methods=("cg",), tol=1e-10)
        u, report = linear(lambda v: scales * v, jnp.asarray(B), SPD, **extra)
        np.testing.assert_allclose(u, B / scales, rtol=1e-5)
        return int(report.steps)

    plain = steps()
    assert steps(preconditioner=lambda v: v / scales) <= 2
    assert steps(guess=jnp.asarray(B) / scales) <= 2
    assert plain > 20


def test_unknown_methods_are_named():
    with pytest.raises(ValueError, match="'sor'"):
        check_methods("sor")
    assert check_methods("cg") == ("cg",)
    assert check_methods(("cg", "dense")) == ("cg", "dense")
