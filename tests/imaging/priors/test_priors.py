"""Priors against NumPy: minimisers by long iterations of another kind, and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unrolljax as uj
from unrolljax.imaging.data_terms.gaussian import Gaussian
from unrolljax.imaging.data_terms.poisson import Poisson
from unrolljax.imaging.operators.blur import Blur
from unrolljax.imaging.operators.identity import Identity
from unrolljax.imaging.operators.inpainting import Inpainting
from unrolljax.imaging.priors import Tikhonov, TotalVariation, WaveletSparsity
from unrolljax.imaging.restoration import Restoration
from unrolljax.imaging.solvers import restore
from unrolljax.prox.wavelets import Wavelets
from unrolljax.solvers import ADMM, PrimalDual, ProximalGradient

SHAPE = (8, 6, 1)
RNG = np.random.default_rng(0)
TRUTH = np.kron(RNG.uniform(size=(2, 3)), np.ones((4, 2)))[..., None]
Y = jnp.asarray(TRUTH + 0.05 * RNG.standard_normal(SHAPE))
KERNEL = jnp.asarray([[0.1, 0.3, 0.0], [0.2, 0.2, 0.1], [0.0, 0.1, 0.0]])
MASK = jnp.asarray(RNG.uniform(size=SHAPE) > 0.3).astype(float)
WEIGHT = jnp.asarray(0.05)


def gaussian(operator, sigma=1.0):
    return Gaussian(operator, operator(Y), sigma)


def dense(operator):
    """The matrix of an operator on flat images."""
    basis = jnp.eye(48).reshape(-1, *SHAPE)
    return np.asarray(jax.vmap(operator)(basis)).reshape(48, -1).T


def chambolle(y, weight, isotropic, steps=20000):
    """TV denoising with periodic borders by projected gradients on the dual, in NumPy."""
    p = np.zeros((2, *y.shape))
    for _ in range(steps):
        x = y - (np.roll(p[0], 1, 0) - p[0] + np.roll(p[1], 1, 1) - p[1])
        p = p + 0.24 * np.stack([np.roll(x, -1, 0) - x, np.roll(x, -1, 1) - x])
        size = np.sqrt((p**2).sum(0, keepdims=True)) if isotropic else np.abs(p)
        p = p / np.maximum(1, size / weight)
    return y - (np.roll(p[0], 1, 0) - p[0] + np.roll(p[1], 1, 1) - p[1])


def test_admm_of_a_weighted_blur_finds_the_saddle_point_of_primal_dual():
    blur = Blur(KERNEL, SHAPE)
    deviation = jnp.where(MASK > 0, 0.3 + 0.5 * jnp.asarray(TRUTH), jnp.inf)
    data = Gaussian.weighted(blur, blur(Y), deviation)
    problem = Restoration(data, TotalVariation(), 20 * WEIGHT)
    stop = uj.Stop(20000, tol=1e-11)
    found = [
        restore(solver, problem, stop=stop)
        for solver in (ADMM(jnp.asarray(5.0)), PrimalDual(jnp.asarray(0.1), jnp.asarray(0.5)))
    ]
    assert all(int(solution.status) == uj.Status.CONVERGED for solution in found)
    np.testing.assert_allclose(found[0].value, found[1].value, atol=1e-7)


@pytest.mark.parametrize("isotropic", [True, False])
@pytest.mark.parametrize(
    "solver", [ADMM(jnp.asarray(1.0)), PrimalDual(jnp.asarray(0.3), jnp.asarray(0.3))]
)
def test_tv_denoising_is_that_of_a_projected_dual(isotropic, solver):
    problem = Restoration(gaussian(Identity(SHAPE)), TotalVariation(isotropic), WEIGHT)
    found = restore(solver, problem, stop=uj.Stop(5000, tol=1e-11))
    assert int(found.status) == uj.Status.CONVERGED
    expected = chambolle(np.asarray(Y), float(WEIGHT), isotropic)
    np.testing.assert_allclose(found.value, expected, atol=1e-7)


@pytest.mark.parametrize("operator", [Blur(KERNEL, SHAPE), Inpainting(MASK, SHAPE)])
def test_tv_by_admm_is_tv_by_primal_dual(operator):
    problem = Restoration(gaussian(operator), TotalVariation(), WEIGHT)
    stop = uj.Stop(20000, tol=1e-9)
    a = restore(ADMM(jnp.asarray(0.3)), problem, stop=stop)
    b = restore(PrimalDual(jnp.asarray(0.3), jnp.asarray(0.3)), problem, stop=stop)
    np.testing.assert_allclose(a.value, b.value, atol=1e-5)


@pytest.mark.parametrize(
    "operator", [Identity(SHAPE), Blur(KERNEL, SHAPE), Inpainting(MASK, SHAPE)]
)
def test_tikhonov_solves_the_normal_equations(operator):
    prior, sigma = Tikhonov(), 0.3
    A, K = dense(operator), dense(prior.transform)
    expected = np.linalg.solve(
        A.T @ A / sigma**2 + 0.7 * K.T @ K, A.T @ np.asarray(operator(Y)).ravel() / sigma**2
    )
    found = prior.minimiser(gaussian(operator, sigma), jnp.asarray(0.7))
    np.testing.assert_allclose(found.ravel(), expected, atol=1e-8)


def test_wavelet_denoising_is_shrinkage_and_every_solver_finds_it():
    wavelets = Wavelets((8, 8), 2, "daubechies4")
    y = jnp.asarray(RNG.standard_normal((8, 8, 2)))
    prior = WaveletSparsity(wavelets)
    operator = Identity((8, 8, 2))
    problem = Restoration(Gaussian(operator, y, 1.0), prior, jnp.asarray(0.4))
    codes = np.stack([wavelets.analyse(y[..., c]) for c in range(2)], axis=1)
    shrunk = np.sign(codes) * np.maximum(np.abs(codes) - 0.4, 0)
    shrunk[:4] = codes[:4]
    expected = np.stack([wavelets.synthesise(jnp.asarray(s)) for s in shrunk.T], axis=-1)
    for solver in (
        ProximalGradient(jnp.asarray(0.5)),
        ADMM(jnp.asarray(1.0)),
        PrimalDual(jnp.asarray(0.5), jnp.asarray(1.0)),
    ):
        found = restore(solver, problem, stop=uj.Stop(1000, tol=1e-11))
        np.testing.assert_allclose(found.value, expected, atol=1e-8)
    np.testing.assert_allclose(prior.value(y), np.abs(codes[4:]).sum())


def test_implicit_gradient_of_tv_is_that_of_differences():
    operator = Blur(KERNEL, SHAPE)

    def loss(weight):
        problem = Restoration(gaussian(operator), TotalVariation(), weight)
        solver = PrimalDual(jnp.asarray(0.3), jnp.asarray(0.3))
        found = restore(solver, problem, stop=uj.Stop(30000, tol=1e-13))
        return jnp.sum(found.value * Y)

    slope = (loss(WEIGHT + 1e-5) - loss(WEIGHT - 1e-5)) / 2e-5
    np.testing.assert_allclose(jax.grad(loss)(WEIGHT), slope, rtol=1e-5)


def test_what_cannot_work_is_named():
    with pytest.raises(ValueError, match="multiples of"):
        WaveletSparsity(Wavelets((100, 99), 3))
    problem = Restoration(gaussian(Identity(SHAPE)), TotalVariation(), WEIGHT)
    with pytest.raises(ValueError, match="use ADMM or"):
        restore(ProximalGradient(jnp.asarray(0.5)), problem)
    counts = Restoration(Poisson(Identity(SHAPE), jnp.ones(SHAPE)), TotalVariation(), WEIGHT)
    with pytest.raises(ValueError, match="Gaussian data term"):
        restore(ADMM(jnp.asarray(1.0)), counts)
