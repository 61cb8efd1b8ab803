"""The digits' dictionary: its data, its start, its error, and the gradient modes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unrolljax as uj
from experiments.dictionary.baseline import peers
from experiments.dictionary.data import load
from experiments.dictionary.figure import draw
from experiments.dictionary.model import percent_wrong, start
from unrolljax.sparse import dictionary as dl


@pytest.fixture(scope="module")
def digits():
    training, test = load(300)
    return training, test.part(jnp.arange(100))


def coder(gradient, steps=3000):
    return dl.Coder(jnp.asarray(0.15), jnp.asarray(0.1), gradient, uj.Stop(steps, 1e-11))


@pytest.fixture(scope="module")
def first(digits):
    return start(digits[0], coder(uj.Implicit()), atoms=12, batch=100, epochs=2, decay=1e-4)


def test_images_have_mean_zero_and_norm_one(digits):
    for part in digits:
        np.testing.assert_allclose(jnp.mean(part.samples, axis=1), 0, atol=1e-15)
        np.testing.assert_allclose(jnp.linalg.norm(part.samples, axis=1), 1)
    assert len(load(898)[1].samples) == 899
    assert digits[0].labels[:5].tolist() == [0, 1, 2, 3, 4]


def test_the_start_is_better_than_guessing_and_the_error_is_counted(digits, first):
    codes = coder(uj.Detach())(first.model.dictionary, digits[1].samples).value
    scores = np.asarray(first.model.head(codes))
    wrong = 100 * np.mean(np.argmax(scores, axis=1) != digits[1].labels)
    np.testing.assert_allclose(percent_wrong(first.model.head, codes, digits[1].targets), wrong)
    assert wrong < 40


def test_unrolled_and_implicit_gradients_agree(digits, first):
    part = digits[0].part(jnp.arange(20))

    def slope(gradient, steps):
        def value(parameters):
            model, inner = parameters.model, coder(gradient, steps)
            return dl.task_loss(
                model, inner, dl.cross_entropy, part.samples, part.targets, 1e-4
            )[0]  # fmt: skip

        return jax.jit(jax.grad(value))(first)

    exact, unrolled = slope(uj.Implicit(tol=1e-10), 3000), slope(uj.Unroll(), 600)
    for a, b in zip(exact, unrolled, strict=True):
        assert jnp.linalg.norm(a) > 1e-3
        assert jnp.linalg.norm(a - b) <= 1e-4 * jnp.linalg.norm(a)


def test_peers_are_scikit_learns(digits):
    found = peers(*digits)
    assert found.keys() == {"RBF-SVM", "logistic regression"}
    assert all(0 < error < 25 for error in found.values())


def test_a_figure_is_drawn(tmp_path, first):
    D = np.asarray(first.atoms)
    lines = [{"step": 1, "evaluation/error": 3.0}, {"step": 2, "loss": 1.0}]
    codes = np.eye(10, 12)
    dictionaries = {"before": D, "after": 2 * D}
    path = tmp_path / "figure.png"
    draw(path, dictionaries, {"before": codes, "after": codes}, lines, {"RBF-SVM": 3.4})
    assert path.stat().st_size > 10_000
