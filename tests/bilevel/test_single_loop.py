"""SOBA and SABA on a quadratic bilevel problem whose solution is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unrolljax as uj
from unrolljax import bilevel
from unrolljax.lab.compilations import counted

SIZE, INNER, OUTER = 4, 40, 24
_random = np.random.default_rng(0)
A, B = _random.normal(size=(INNER, SIZE)), _random.normal(size=INNER)
V, C = _random.normal(size=(OUTER, SIZE)), _random.normal(size=OUTER)
START = jnp.zeros(SIZE)
KEY = jax.random.key(0)
DATA = (jnp.asarray(V), jnp.asarray(C)), (jnp.asarray(A), jnp.asarray(B))


def inner(theta, x, samples):
    a, b = samples
    return jnp.mean((a @ x - b - jnp.sin(a) @ theta) ** 2) / 2 + jnp.sum(x**2) / 4


def outer(theta, x, samples):
    v, c = samples
    return jnp.mean((v @ x - c) ** 2) / 2 + jnp.sum(theta**2) / 20


HESSIAN = A.T @ A / INNER + np.eye(SIZE) / 2
CROSS = -A.T @ np.sin(A) / INNER  # d2 inner / dx dtheta


def best():
    at_zero = np.linalg.solve(HESSIAN, A.T @ B / INNER)
    slope = -np.linalg.solve(HESSIAN, CROSS)
    curvature = slope.T @ V.T @ V @ slope / OUTER + np.eye(SIZE) / 10
    return np.linalg.solve(curvature, -slope.T @ V.T @ (V @ at_zero - C) / OUTER)


def run(theta=START, steps=4000, batch_sizes=(4, 5), key=KEY, **options):
    options = {"inner_step": 0.1, "outer_step": 0.1, "record_every": 50} | options
    return bilevel.single_loop(
        outer, inner, theta, START, *DATA, steps=steps, batch_sizes=batch_sizes, key=key, **options
    )


def errors(found):
    return np.linalg.norm(np.asarray(found.trace) - best(), axis=1)


def same(a, b):
    return all(map(np.array_equal, jax.tree.leaves(a), jax.tree.leaves(b)))


def test_saba_converges_linearly():
    found = run()
    error = errors(found)
    assert found.status == uj.Status.COMPLETED
    np.testing.assert_allclose(found.theta, best(), atol=1e-13)
    falling = error[(error > 1e-11) & (error < 1e-2)]
    assert len(falling) > 5
    logs = np.log10(falling)
    line = np.polyval(np.polyfit(np.arange(len(logs)), logs, 1), np.arange(len(logs)))
    assert np.max(np.abs(logs - line)) < 0.1 * (logs[0] - logs[-1])


def test_soba_with_constant_steps_ends_at_a_noise_floor():
    constant = errors(run(method="soba"))
    assert np.min(constant[40:]) > 1e-2
    smaller = errors(run(method="soba", inner_step=0.02, outer_step=0.02))
    assert np.mean(smaller[60:]) < 0.7 * np.mean(constant[60:])


def test_soba_with_falling_steps_goes_below_it():
    falling = {
        "inner_step": bilevel.Polynomial(0.3, 0.4),
        "outer_step": bilevel.Polynomial(1.0, 0.6),
    }
    assert np.mean(errors(run(method="soba", **falling))[60:]) < 0.5 * np.mean(
        errors(run(method="soba"))[60:]
    )


def test_the_steps_are_those_of_the_paper():
    """On all the data at once there is nothing random: three steps in NumPy."""
    theta, x, u = np.zeros(SIZE), np.zeros(SIZE), np.zeros(SIZE)
    for _ in range(3):
        to_x = HESSIAN @ x - A.T @ B / INNER + CROSS @ theta
        to_u = HESSIAN @ u - V.T @ (V @ x - C) / OUTER
        to_theta = theta / 10 - CROSS.T @ u
        theta, x, u = theta - 0.2 * to_theta, x - 0.1 * to_x, u - 0.1 * to_u
    for method in ("saba", "soba"):
        found = run(steps=3, batch_sizes=(OUTER, INNER), outer_step=0.2, method=method)
        np.testing.assert_allclose(found.theta, theta, rtol=1e-12)
        np.testing.assert_allclose(found.x, x, rtol=1e-12)
        np.testing.assert_allclose(found.state.adjoint, u, rtol=1e-12)


def test_the_table_keeps_its_mean():
    table = run(steps=50).state.inner
    means = jax.tree.map(lambda rows: jnp.mean(rows, axis=0), table.terms)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-13), means, table.mean)


def test_resumes_to_the_bit():
    whole = run(steps=20)
    first = run(steps=10)
    second = run(steps=10, state=jax.tree.map(np.asarray, first.state))
    assert same(second.state, whole.state)


def test_compiles_once():
    run()
    key, theta = jax.random.key(1), START + 1.0
    with counted() as compilations:
        run(theta, key=key, inner_step=0.05, outer_step=0.03)
    assert compilations.count == 0


def test_under_vmap():
    keys = jnp.stack([KEY, jax.random.key(7)])
    found = jax.vmap(lambda key: run(steps=50, key=key))(keys)
    assert not np.allclose(found.theta[0], found.theta[1])
    for row, key in enumerate(keys):
        np.testing.assert_allclose(found.theta[row], run(steps=50, key=key).theta, rtol=1e-10)


def test_an_overflow_ends_the_run_before_it():
    found = run(inner_step=100.0)
    assert found.status == uj.Status.NONFINITE
    assert 0 < found.bad_step == found.state.step < 4000
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(found.state))
    again = run(inner_step=100.0, state=found.state)
    assert same(again.state, found.state)
    assert again.status == uj.Status.NONFINITE


def test_a_projection_holds():
    found = run(projection=lambda theta: jnp.clip(theta, -0.05, 0.05), record_every=0)
    assert found.trace is None
    assert np.max(np.abs(found.theta)) == 0.05


def test_differentiating_a_run_is_refused():
    slope = jax.grad(lambda theta: jnp.sum(run(theta, steps=3).theta))(START)
    assert np.all(np.isnan(slope))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"theta": START.at[0].set(jnp.inf)}, "theta0 holds a NaN or an infinity"),
        ({"batch_sizes": (5, 5)}, "outer_data has 24 samples"),
        ({"method": "sgd"}, r"single_loop\(method='sgd'\)"),
        ({"steps": 0}, r"single_loop\(steps=0\)"),
        ({"record_every": -1}, r"single_loop\(record_every=-1\)"),
    ],
)
def test_bad_arguments_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        run(**options)


def test_uneven_data_are_refused():
    with pytest.raises(ValueError, match="inner_data: every array must have the same leading axis"):
        bilevel.single_loop(
            outer, inner, START, START, DATA[0], (DATA[1][0], jnp.zeros(3)),
            inner_step=0.1, outer_step=0.1, steps=1, batch_sizes=(4, 5), key=KEY,
        )  # fmt: skip
