"""Codes and their derivatives: scikit-learn, the closed form of the paper, finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.decomposition import sparse_encode

import unrolljax as uj
from unrolljax.sparse import ElasticNet
from unrolljax.sparse.dictionary import Coder, GramElasticNet
from unrolljax.sparse.dictionary.gram import largest_eigenvalue_bound

L1, L2 = 0.1, 0.02
FEATURES, ATOMS, SAMPLES = 8, 12, 5
TIGHT = uj.Stop(5000, 1e-13)
random = np.random.default_rng(0)
D = jnp.asarray(random.normal(size=(FEATURES, ATOMS)))
D = D / jnp.linalg.norm(D, axis=0, keepdims=True)
X = jnp.asarray(random.normal(size=(SAMPLES, FEATURES))) / 3
TARGETS = jnp.asarray(random.normal(size=(SAMPLES, ATOMS)))


def loss(D, X, coder):
    return jnp.sum((coder(D, X).value - TARGETS) ** 2) / 2


gradient_of_loss = jax.jit(jax.grad(loss))


def coder(gradient=None, stop=TIGHT):
    gradient = uj.Implicit(tol=1e-12) if gradient is None else gradient
    return Coder(jnp.asarray(L1), jnp.asarray(L2), gradient, stop)


def test_codes_are_those_of_scikit_learn():
    codes = coder()(D, X)
    codes.raise_if_failed()
    # The ridge penalty is a lasso with the dictionary sqrt(l2) I appended.
    tall = np.vstack([D, np.sqrt(L2) * np.eye(ATOMS)])
    padded = np.hstack([X, np.zeros((SAMPLES, ATOMS))])
    theirs = sparse_encode(padded, tall.T, algorithm="lasso_lars", alpha=L1, max_iter=1000)
    np.testing.assert_allclose(codes.value, theirs, atol=1e-10)
    assert 0 < np.sum(theirs != 0) < theirs.size


def test_the_gram_form_is_the_elastic_net_up_to_a_constant():
    a, x = TARGETS[0], X[0]
    tall, gram = ElasticNet(D, x, L1, L2), GramElasticNet(D.T @ D, D.T @ x, L1, L2)
    np.testing.assert_allclose(tall.objective(a) - gram.objective(a), jnp.sum(x**2) / 2)
    slopes = [jax.grad(problem.smooth)(a) for problem in (tall, gram)]
    np.testing.assert_allclose(*slopes, atol=1e-13)
    curvatures = [jax.hessian(problem.smooth)(a) for problem in (tall, gram)]
    np.testing.assert_allclose(*curvatures, atol=1e-13)


def closed_form(D, x, a, slope):
    """Mairal, Bach & Ponce 2012, proposition 1: gradient in D of a loss with this slope in a."""
    active = a != 0
    small = D[:, active]
    beta = np.zeros_like(a)
    curvature = small.T @ small + L2 * np.eye(active.sum())
    beta[active] = np.linalg.solve(curvature, slope[active])
    return -np.outer(D @ beta, a) + np.outer(x - D @ a, beta)


def test_the_implicit_gradient_is_the_closed_form():
    codes = np.asarray(coder()(D, X).value)
    slopes = codes - np.asarray(TARGETS)
    parts = [closed_form(np.asarray(D), *item) for item in zip(X, codes, slopes, strict=True)]
    found = gradient_of_loss(D, X, coder())
    np.testing.assert_allclose(found, np.sum(parts, axis=0), atol=1e-8)
    shared = gradient_of_loss(D, X, Coder(L1, L2, stop=TIGHT))
    np.testing.assert_allclose(shared, found, atol=1e-8)


def test_gradients_agree_with_differences():
    places = {"dictionary": D, "samples": X, "l1": jnp.asarray(L1), "l2": jnp.asarray(L2)}

    def value(at):
        mode = uj.Implicit(tol=1e-12)
        return loss(at["dictionary"], at["samples"], Coder(at["l1"], at["l2"], mode, TIGHT))

    compiled, slopes = jax.jit(value), jax.jit(jax.grad(value))(places)
    for name, place in places.items():
        nudge = 1e-6 * jnp.asarray(np.random.default_rng(1).normal(size=place.shape))
        near = [compiled(places | {name: place + k * nudge}) for k in (-1, 1)]
        expected = jnp.sum(slopes[name] * nudge)
        assert abs(expected) > 1e-9
        np.testing.assert_allclose((near[1] - near[0]) / 2, expected, rtol=1e-5)


@pytest.mark.parametrize("gradient", [uj.Unroll(), uj.Truncated(depth=1500)])
def test_taped_gradients_are_the_implicit_one(gradient):
    taped = gradient_of_loss(D, X, coder(gradient, uj.Stop(2000, 1e-13)))
    np.testing.assert_allclose(taped, gradient_of_loss(D, X, coder()), rtol=1e-7, atol=1e-8)


def test_every_sample_has_a_status_and_a_failure_is_no_gradient():
    codes = coder(stop=uj.Stop(3, 1e-13))(D, X.at[0].set(0.0))
    assert codes.status[0] == uj.Status.CONVERGED
    assert np.all(codes.status[1:] == uj.Status.MAX_STEPS)
    assert np.all(np.isnan(gradient_of_loss(D, X, coder(stop=uj.Stop(3, 1e-13)))))
    broken = coder()(D, X.at[0, 0].set(jnp.nan))
    assert broken.status[0] == uj.Status.NONFINITE
    assert np.all(broken.status[1:] == uj.Status.CONVERGED)


def test_a_warm_start_saves_steps_and_changes_no_code():
    cold = coder()(D, X)
    warm = coder()(D, X, cold.value + 1e-6)
    assert np.all(warm.steps < cold.steps)
    np.testing.assert_allclose(warm.value, cold.value, atol=1e-11)


def test_the_bound_is_one_and_tight():
    for size in (1, 3, 40):
        root = jnp.asarray(random.normal(size=(size, size)))
        largest = jnp.linalg.eigvalsh(root @ root.T)[-1]
        bound = largest_eigenvalue_bound(root @ root.T)
        assert largest * (1 - 1e-12) <= bound <= 40 ** (1 / 32) * largest
    assert largest_eigenvalue_bound(jnp.zeros((3, 3))) == 0


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_codes_have_the_precision_of_the_samples(dtype):
    found = Coder(L1, L2, stop=uj.Stop(1000, 1e-5))(D.astype(dtype), X.astype(dtype))
    assert found.value.dtype == dtype
    np.testing.assert_allclose(found.value, coder()(D, X).value, atol=1e-3)


def test_another_penalty_compiles_nothing():
    first = jax.jit(lambda coder: coder(D, X).value)
    first(coder())
    before = first._cache_size()
    first(Coder(jnp.asarray(0.2), jnp.asarray(0.1), uj.Implicit(tol=1e-9), TIGHT))
    assert first._cache_size() == before
