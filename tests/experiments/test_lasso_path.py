"""The searches of the experiment, against scikit-learn's path, and what it scores."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import lasso_path

import unrolljax as uj
from experiments.lasso_path.data import Shape, simulate
from experiments.lasso_path.search import landscape, one_penalty, scores, two_penalties
from unrolljax.sparse.model_selection import Penalties

STOP = uj.Stop(50, 1e-8)


@pytest.fixture(scope="module")
def problems():
    return simulate(Shape(50, 60, 5, 0.5, 2.0), 2, 0)


def test_tables_share_coefficients_and_differ_in_samples(problems):
    assert problems.A.shape == (2, 3, 50, 60)
    np.testing.assert_array_equal(problems.truth[0], problems.truth[1])
    noise = problems.y - jnp.einsum("smnp,sp->smn", problems.A, problems.truth)
    assert 0.3 < jnp.std(noise) / jnp.std(problems.y - noise) < 0.7
    assert jnp.all(problems.A[0, 0] != problems.A[1, 0])


def test_searches_stand_on_the_landscape_that_is_drawn(problems):
    first = problems.first()
    common, both = (search(first, 60, STOP) for search in (one_penalty, two_penalties))
    path, surface = landscape(first, common, both, 20, 5, STOP)
    training, validation, _ = np.asarray(first.A)
    _, theirs, _ = lasso_path(
        training, first.y[0], alphas=np.exp(path.weight) / 50, tol=1e-10, max_iter=100_000
    )
    losses = np.mean((first.y[1][:, None] - validation @ theirs) ** 2, axis=0) / 2
    np.testing.assert_allclose(path.value[0], losses, rtol=1e-4)
    assert common.value <= 1.001 * losses.min()
    assert both.value <= 1.001 * np.nanmin(surface.value)
    chosen = {"lasso": common.theta, "weights": Penalties(jnp.full(60, common.theta.weight))}
    rows = scores(first, chosen, 60, STOP)
    np.testing.assert_allclose(rows["lasso"]["validation loss"], common.value, rtol=1e-6)
    assert rows["lasso"] == pytest.approx(rows["weights"])
    assert rows["lasso"]["support"] == common.support
