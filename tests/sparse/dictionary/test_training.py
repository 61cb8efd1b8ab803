"""Atoms, the online dictionary, the head and the training, against scikit-learn and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.decomposition import MiniBatchDictionaryLearning
from sklearn.linear_model import LogisticRegression, Ridge

import unrolljax as uj
from unrolljax.sparse import dictionary as dl
from unrolljax.sparse.dictionary.online import update_atoms

random = np.random.default_rng(0)
TRUTH = random.normal(size=(10, 6))
TRUTH /= np.linalg.norm(TRUTH, axis=0)
SPARSE = np.where(random.random((200, 6)) < 0.3, random.normal(size=(200, 6)), 0)
X = jnp.asarray(SPARSE @ TRUTH.T + 0.01 * random.normal(size=(200, 10)))
CODER = dl.Coder(jnp.asarray(0.1), jnp.asarray(0.01), stop=uj.Stop(2000, 1e-8))
BATCHES = jnp.asarray(dl.draw_batches(np.random.default_rng(1), 200, 50, 40))


def objective(D):
    codes = dl.encode(CODER, D, X).value
    parts = np.sum((X - codes @ D.T) ** 2, axis=1) / 2 + 0.1 * np.sum(np.abs(codes), axis=1)
    return np.mean(parts + 0.01 * np.sum(codes**2, axis=1) / 2)


def test_batches_hold_every_sample_at_most_once():
    batches = dl.draw_batches(np.random.default_rng(0), 11, 4, 3)
    assert batches.shape == (3, 2, 4)
    assert all(len(set(epoch.ravel())) == 8 for epoch in batches)
    assert batches.min() >= 0
    assert batches.max() <= 10


def test_the_online_dictionary_is_as_good_as_scikit_learns_and_recovers_the_truth():
    learned = dl.learn_dictionary(X, CODER, X[:6].T, BATCHES)
    theirs = MiniBatchDictionaryLearning(
        6, alpha=0.1, batch_size=50, max_iter=40, fit_algorithm="cd", random_state=0
    ).fit(X)
    assert objective(learned.dictionary) <= 1.001 * objective(jnp.asarray(theirs.components_.T))
    cosines = np.abs(TRUTH.T @ np.asarray(learned.dictionary))
    assert np.min(np.max(cosines, axis=1)) > 0.99
    assert np.all(learned.status == uj.Status.CONVERGED)


def test_an_update_of_the_atoms_is_a_descent_that_ends_at_the_minimum():
    codes = jnp.asarray(SPARSE) + 0.1
    A, B = codes.T @ codes, X.T @ codes
    D = dl.project_atoms(X[:6].T)

    def value(D):
        return jnp.trace(D.T @ D @ A) / 2 - jnp.trace(D.T @ B)

    def update(D, _):
        D = update_atoms(D, A, B)
        return D, value(D)

    D, values = jax.lax.scan(update, D, length=300)
    assert np.all(np.diff(values) <= 1e-9)
    downhill = dl.project_atoms(D - 1e-3 * (D @ A - B))
    np.testing.assert_allclose(downhill, D, atol=1e-9)


def test_atoms_are_projected_onto_the_unit_ball():
    atoms = jnp.asarray([[3.0, 0.3, 0.0], [4.0, 0.4, 0.0]])
    expected = [[0.6, 0.3, 0.0], [0.8, 0.4, 0.0]]
    np.testing.assert_allclose(dl.project_atoms(atoms), expected, atol=1e-15)


def test_unused_atoms_become_the_samples_coded_worst():
    D = jnp.eye(3)
    samples = jnp.asarray([[1.0, 0, 0], [0, 4.0, 3.0], [0, 0, 9.0], [1.0, 1.0, 0]])
    codes = jnp.zeros((4, 3)).at[:, 0].set(samples[:, 0])
    new = dl.replace_unused(D, samples, codes)
    assert new.unused.tolist() == [False, True, True]
    np.testing.assert_allclose(new.dictionary.T, [[1, 0, 0], [0, 0, 1], [0, 0.8, 0.6]], atol=1e-15)
    assert dl.replace_unused(D, samples, codes, least_usage=0.5).unused.tolist() == [True] * 3


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_a_dictionary_with_a_dead_atom_revives_it(dtype):
    dead = X[:6].T.at[:, 2].set(0.0).astype(dtype)
    learned = dl.learn_dictionary(X.astype(dtype), CODER_SINGLE, dead, BATCHES)
    assert learned.dictionary.dtype == dtype
    assert jnp.linalg.norm(learned.dictionary[:, 2]) > 0.99


CODER_SINGLE = dl.Coder(0.1, 0.01, stop=uj.Stop(2000, 1e-5))


def test_the_head_is_scikit_learns():
    labels = random.integers(0, 3, 200)
    head, status = dl.fit_head(
        X, jnp.eye(3)[labels], dl.cross_entropy, jnp.asarray(0.01), uj.Stop(500, 1e-10)
    )
    theirs = LogisticRegression(C=1 / (0.01 * 200), tol=1e-10, max_iter=1000).fit(X, labels)
    assert status == uj.Status.CONVERGED
    np.testing.assert_allclose(head.weights.T, theirs.coef_, atol=1e-6)
    numbers = jnp.asarray(random.normal(size=(200, 1)))
    head, _ = dl.fit_head(X, numbers, dl.squared_error, jnp.asarray(0.01), uj.Stop(500, 1e-10))
    ridge = Ridge(alpha=0.01 * 200, tol=1e-12).fit(X, numbers[:, 0])
    np.testing.assert_allclose(head.weights[:, 0], np.ravel(ridge.coef_), atol=1e-8)
    np.testing.assert_allclose(head.intercept[0], np.ravel(ridge.intercept_)[0], atol=1e-8)


def train(batches, learning_rate, coder=CODER, samples=X):
    targets = jnp.asarray(SPARSE[:, :1])
    head = dl.Head(jnp.full((6, 1), 0.1), jnp.zeros(1))
    model = dl.Model(dl.project_atoms(X[:6].T), head)
    with jax.numpy_dtype_promotion("standard"):
        return model, dl.train(
            model, samples, targets, jnp.zeros((200, 6)), coder, dl.squared_error, batches,
            learning_rate=jnp.asarray(learning_rate), decay=jnp.asarray(1e-4),
        )  # fmt: skip


def test_the_first_step_is_adams():
    """Adam's first step is the rate times the sign of the gradient, ten times that in the head."""
    model, trained = train(BATCHES[:1, :1], 1e-3)

    def value(model):
        places = BATCHES[0, 0]
        targets = jnp.asarray(SPARSE[:, :1])[places]
        return dl.task_loss(model, CODER, dl.squared_error, X[places], targets, 1e-4)[0]

    slope = jax.jit(jax.grad(value))(model)
    moved = dl.project_atoms(model.dictionary - 1e-3 * jnp.sign(slope.dictionary))
    used = jnp.abs(slope.dictionary) > 1e-5
    np.testing.assert_allclose(trained.model.dictionary[used], moved[used], atol=2e-6)
    step = trained.model.head.weights - model.head.weights
    np.testing.assert_allclose(step, -1e-2 * jnp.sign(slope.head.weights), atol=1e-5)
    np.testing.assert_allclose(trained.loss[0], jax.jit(value)(model), rtol=1e-6)


def test_training_learns_the_atom_that_the_target_needs_and_compiles_once():
    _, trained = train(BATCHES, 1e-2)
    assert trained.loss[-1] < 0.02
    assert not np.any(trained.skipped)
    assert np.all(trained.status == uj.Status.CONVERGED)
    before = dl.train._cached._cache_size()
    train(BATCHES, 2e-2)
    assert dl.train._cached._cache_size() == before


def test_a_step_that_failed_changes_nothing_and_is_counted():
    bad = X.at[7].set(jnp.nan)
    _, trained = train(BATCHES[:2], 1e-2, samples=bad)
    np.testing.assert_array_equal(trained.skipped, np.any(BATCHES[:2] == 7, axis=2))
    assert np.sum(trained.status == uj.Status.NONFINITE) == 2
    assert np.all(np.isfinite(trained.model.dictionary))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": X.at[0, 0].set(jnp.nan)}, "samples hold a NaN"),
        ({"targets": jnp.ones((3, 1))}, "targets"),
        ({"atoms": 0}, "atoms=0"),
        ({"epochs": 0}, "epochs=0"),
    ],
)
def test_bad_input_is_named(change, message):
    numbers = {"atoms": 4, "batch": 20, "initial_epochs": 1, "epochs": 1}
    arguments = {"samples": X, "targets": jnp.ones((200, 1)), **numbers, **change}
    samples, targets = arguments.pop("samples"), arguments.pop("targets")
    with pytest.raises(ValueError, match=message):
        dl.fit(
            samples, targets, dl.squared_error, CODER, np.random.default_rng(0),
            learning_rate=1e-3, decay=0.0, **arguments,
        )  # fmt: skip
