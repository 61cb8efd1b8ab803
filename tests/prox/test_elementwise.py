import jax
import jax.numpy as jnp
import jaxopt
import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from unrolljax import prox

V = jnp.linspace(-3.0, 3.0, 13) + 0.01
WEIGHTS = jnp.linspace(0.1, 2.0, 13)


@pytest.mark.parametrize("threshold", [0.7, WEIGHTS], ids=["scalar", "per_entry"])
def test_agrees_with_jaxopt(threshold):
    per_entry = jnp.broadcast_to(threshold, V.shape)
    np.testing.assert_allclose(
        prox.l1(V, threshold), jaxopt.prox.prox_lasso(V, per_entry), rtol=1e-14
    )
    np.testing.assert_allclose(
        prox.nonnegative_l1(V, threshold), jaxopt.prox.prox_non_negative_lasso(V, per_entry)
    )
    np.testing.assert_allclose(
        prox.squared_l2(V, threshold), jaxopt.prox.prox_ridge(V, 1.0, per_entry)
    )
    np.testing.assert_allclose(
        prox.elastic_net(V, threshold, 0.5 * per_entry),
        jaxopt.prox.prox_elastic_net(V, (per_entry, jnp.full_like(V, 0.5))),
        rtol=1e-14,
    )


@pytest.mark.parametrize(
    ("operator", "penalty", "lowest"),
    [
        (lambda v: prox.huber(v, 1.3, 0.6), lambda x: 1.3 * prox.huber_penalty(x, 0.6), -5.0),
        (
            lambda v: prox.kullback_leibler(v, 1.3, 0.4),
            lambda x: 1.3 * prox.poisson_negative_log_likelihood(x, 0.4),
            0.0,
        ),
        (lambda v: prox.log_barrier(v, 0.3), lambda x: -0.3 * jnp.sum(jnp.log(x)), 0.0),
        (lambda v: prox.l1(v, 1.3), lambda x: 1.3 * prox.l1_norm(x), -5.0),
    ],
    ids=["huber", "kullback_leibler", "log_barrier", "l1"],
)
def test_minimises_the_penalised_distance(operator, penalty, lowest):
    objective = jax.jit(lambda x, v: 0.5 * (x[0] - v) ** 2 + penalty(x))
    for v in V[::3]:
        numerical = minimize_scalar(
            lambda x, v=v: float(objective(jnp.array([x]), v)),
            bounds=(lowest, 5.0),
            options={"xatol": 1e-10},
        )
        np.testing.assert_allclose(operator(v[None])[0], numerical.x, atol=1e-6)


def test_hard_threshold_keeps_what_is_worth_its_price():
    v, threshold = jnp.array([-2.0, -1.0, 0.5, 1.9, 2.1]), 2.0
    kept = 0.0 * v**2 + threshold
    dropped = 0.5 * v**2
    np.testing.assert_array_equal(prox.l0(v, threshold), jnp.where(kept <= dropped, v, 0))


def test_complex_soft_threshold_keeps_the_phase():
    modulus, phase = np.array([0.0, 0.4, 2.0]), np.array([0.3, 1.0, -2.5])
    expected = np.maximum(modulus - 0.5, 0) * np.exp(1j * phase)
    np.testing.assert_allclose(
        prox.l1(jnp.asarray(modulus * np.exp(1j * phase)), 0.5), expected, atol=1e-15
    )


def test_unpenalised_entries_are_the_identity_even_at_zero():
    v, threshold = jnp.array([0.0, 1.0, 0.0]), jnp.array([0.0, 0.0, 0.5])
    for operator in (prox.l1, prox.l0):
        jacobian = jax.jacobian(operator)(v, threshold)
        np.testing.assert_array_equal(jnp.diagonal(jacobian), [1.0, 1.0, 0.0])


def test_poisson_root_does_not_cancel_far_below_the_threshold():
    # x^2 - total x - product = 0 has the root -product / total (1 - product / total^2 + ...).
    x = prox.kullback_leibler(jnp.array([-1e9]), 1.0, 2.0)
    np.testing.assert_allclose(x, 2.0 / (1e9 + 1), rtol=1e-14)


def test_poisson_derivative_where_the_branches_meet():
    jacobian = jax.grad(lambda v: prox.kullback_leibler(v, 1.0, 2.0)[0])(jnp.array([1.0]))
    np.testing.assert_allclose(jacobian, [0.5], rtol=1e-14)


def test_poisson_negative_log_likelihood_at_the_border():
    assert prox.poisson_negative_log_likelihood(jnp.array([0.0]), 0.0) == 0.0
    assert prox.poisson_negative_log_likelihood(jnp.array([0.0]), 1.0) == jnp.inf
    assert prox.poisson_negative_log_likelihood(jnp.array([-1.0]), 0.0) == jnp.inf
    slope = jax.grad(lambda x: prox.poisson_negative_log_likelihood(x, 0.0))(jnp.zeros(2))
    np.testing.assert_array_equal(slope, jnp.ones(2))


def test_python_thresholds_keep_single_precision():
    v = V.astype(jnp.float32)
    for x in (prox.l1(v, 0.5), prox.huber(v, 0.5, 0.1), prox.kullback_leibler(v, 0.5, 2.0)):
        assert x.dtype == jnp.float32


def test_broadcasts_thresholds_but_never_the_variable():
    v = jnp.ones((2, 3))
    np.testing.assert_array_equal(prox.l1(v, jnp.array([0.0, 0.5, 2.0])), [[1.0, 0.5, 0.0]] * 2)
    with pytest.raises(ValueError, match="broadcast"):
        prox.l1(jnp.ones(3), jnp.ones((2, 3)))
