"""What holds for every operator of the package; a new public name must enter the table."""

import functools
import inspect
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unrolljax import prox

LABELS = jnp.array([2, 0, 1, 1, 2, 1])
NORMAL = jnp.array([1.0, -2.0, 0.5, 1.5, 0.0, 1.0])
ROWS = jnp.stack([NORMAL, jnp.arange(6.0)])


class Case(NamedTuple):
    apply: Callable
    """(v, weight) -> x, for a scalar weight."""
    shape: tuple[int, ...] = (6,)
    takes_complex: bool = False
    convex: bool = True


def cast(constant, v):
    return constant.astype(v.dtype)


CASES = {
    "l1": Case(prox.l1, (2, 3), True),
    "nonnegative_l1": Case(prox.nonnegative_l1),
    "squared_l2": Case(prox.squared_l2, (2, 3), True),
    "elastic_net": Case(lambda v, w: prox.elastic_net(v, w, 2 * w), (2, 3), True),
    "l0": Case(prox.l0, (2, 3), True, convex=False),
    "huber": Case(lambda v, w: prox.huber(v, w, 0.5 * w)),
    "kullback_leibler": Case(lambda v, w: prox.kullback_leibler(v, w, 3 * w)),
    "log_barrier": Case(prox.log_barrier),
    "l2": Case(prox.l2, (2, 3), True),
    "group_lasso": Case(lambda v, w: prox.group_lasso(v, w, axis=0), (2, 3), True),
    "labelled_group_lasso": Case(
        lambda v, w: prox.labelled_group_lasso(v, w, LABELS, 3), takes_complex=True
    ),
    "nuclear": Case(prox.nuclear, (4, 3), True),
    "project_positive_semidefinite": Case(
        lambda v, w: prox.project_positive_semidefinite(v * cast(w, v)), (3, 3), True
    ),
    "project_nonnegative": Case(lambda v, w: prox.project_nonnegative(v - w)),
    "project_box": Case(lambda v, w: prox.project_box(v, -w, jnp.inf)),
    "project_linf_ball": Case(prox.project_linf_ball),
    "project_l2_ball": Case(prox.project_l2_ball, takes_complex=True),
    "project_l1_ball": Case(prox.project_l1_ball, takes_complex=True),
    "project_simplex": Case(prox.project_simplex),
    "project_hyperplane": Case(lambda v, w: prox.project_hyperplane(v, cast(NORMAL, v), w)),
    "project_halfspace": Case(lambda v, w: prox.project_halfspace(v, cast(NORMAL, v), -w)),
    "project_affine_set": Case(
        lambda v, w: prox.project_affine_set(v, cast(ROWS, v), jnp.stack([w, -w]))
    ),
}
NOT_OPERATORS = {
    *("group_norm", "huber_penalty", "l1_norm", "labelled_group_norm", "nuclear_norm"),
    *("poisson_negative_log_likelihood", "Prox"),
    *("from_projection", "moreau_conjugate", "scaled", "separable", "translated"),
}

BATCH = 20
VARIANTS = [(name, False) for name in CASES] + [
    (name, True) for name, case in CASES.items() if case.takes_complex
]
with_complex = pytest.mark.parametrize(("name", "complex_valued"), VARIANTS)


def draw(case: Case, seed: int, complex_valued: bool):
    rng = np.random.default_rng(seed)
    v = 1.5 * rng.standard_normal(case.shape)
    if complex_valued:
        v = v + 1.5j * rng.standard_normal(case.shape)
    return jnp.asarray(v)


def draw_batch(case: Case, seed: int, complex_valued: bool):
    return jnp.stack([draw(case, seed + k, complex_valued) for k in range(BATCH)])


@functools.cache
def batched(name: str):
    return jax.jit(jax.vmap(CASES[name].apply))


def inner(a, b):
    return float(jnp.real(jnp.vdot(a, b)))


def test_the_table_holds_every_public_operator():
    assert set(CASES) | NOT_OPERATORS == set(prox.__all__)
    assert all(inspect.getdoc(getattr(prox, name)) for name in CASES)


@pytest.mark.parametrize(
    ("name", "complex_valued"), [variant for variant in VARIANTS if CASES[variant[0]].convex]
)
def test_firmly_nonexpansive(name, complex_valued):
    case = CASES[name]
    weight = 1.0 if name == "project_positive_semidefinite" else 0.7  # there it scales v
    weights = jnp.full(BATCH, weight)
    v = draw_batch(case, 0, complex_valued)
    other = draw_batch(case, 100, complex_valued)
    moved = batched(name)(v, weights) - batched(name)(other, weights)
    for change, distance in zip(moved, v - other, strict=True):
        assert inner(change, change) <= inner(change, distance) + 1e-12


@with_complex
def test_derivatives_match_central_differences(name, complex_valued):
    case, h = CASES[name], 1e-6
    weight, dweight = jnp.asarray(0.8), jnp.asarray(0.6)

    @jax.jit
    def differentiate(v, dv, cotangent):
        above = case.apply(v + h * dv, weight + h * dweight)
        below = case.apply(v - h * dv, weight - h * dweight)
        _, forward = jax.jvp(case.apply, (v, weight), (dv, dweight))
        return (above - below) / (2 * h), forward, *jax.vjp(case.apply, v, weight)[1](cotangent)

    for seed in range(3):
        v, dv, cotangent = (draw(case, seed + k, complex_valued) for k in (0, 50, 90))
        difference, forward, v_bar, weight_bar = differentiate(v, dv, cotangent)
        np.testing.assert_allclose(forward, difference, rtol=1e-7, atol=1e-8)
        backward = np.sum(np.real(v_bar * dv)) + weight_bar * dweight
        np.testing.assert_allclose(
            backward, np.sum(np.real(cotangent * forward)), rtol=1e-10, atol=1e-12
        )


@with_complex
def test_derivatives_are_finite_at_kinks(name, complex_valued):
    # Single precision, in which the square of 1e-25 underflows.
    case, dtype = CASES[name], jnp.complex64 if complex_valued else jnp.float32

    @jax.jit
    def differentiate(v, weight):
        x, pullback = jax.vjp(case.apply, v, weight)
        return x, *pullback(jnp.ones_like(x))

    for size in (0.0, 1e-25, 0.7):
        for weight in (0.0, 1e-25, 0.7):
            v = np.full(case.shape, size, dtype)
            for output in differentiate(v, np.asarray(weight, np.float32)):
                assert np.all(np.isfinite(output)), (size, weight)


@with_complex
def test_jit_and_vmap_change_nothing(name, complex_valued):
    case = CASES[name]
    batch, weights = draw_batch(case, 0, complex_valued), jnp.linspace(0.3, 1.3, BATCH)
    alone = case.apply(batch[1], weights[1])
    together = batched(name)(batch, weights)
    np.testing.assert_allclose(together[1], alone, rtol=1e-12, atol=1e-12)


@with_complex
def test_single_precision_is_kept(name, complex_valued):
    case = CASES[name]
    v = draw(case, 0, complex_valued)
    single = v.astype(jnp.complex64 if complex_valued else jnp.float32)
    x = jax.jit(case.apply)(single, jnp.asarray(0.8, jnp.float32))
    assert x.dtype == single.dtype
    expected = case.apply(v, jnp.asarray(0.8, jnp.float64))
    np.testing.assert_allclose(x, expected, rtol=1e-5, atol=1e-5)
