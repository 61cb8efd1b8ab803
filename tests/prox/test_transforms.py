import functools

import jax
import jax.numpy as jnp
import jaxopt
import numpy as np
import pytest

from unrolljax import prox

RNG = np.random.default_rng(3)
V = jnp.asarray(2 * RNG.standard_normal(7))
STEPS = [0.3, 1.0, 2.5]


def weighted(operator, weight):
    return lambda v, step: operator(v, step * weight)


@pytest.mark.parametrize("step", STEPS)
def test_conjugates_of_norms_are_projections_onto_dual_balls(step):
    for norm, ball in ((prox.l1, prox.project_linf_ball), (prox.l2, prox.project_l2_ball)):
        conjugate = prox.moreau_conjugate(weighted(norm, 0.6))
        np.testing.assert_allclose(conjugate(V, step), ball(V, 0.6), atol=1e-14)


@pytest.mark.parametrize("step", STEPS)
def test_conjugates_of_quadratics_and_indicators(step):
    # (w/2 x^2)* = x^2 / (2 w), and the conjugate of a ball's indicator is the dual norm.
    conjugate = prox.moreau_conjugate(weighted(prox.squared_l2, 0.6))
    np.testing.assert_allclose(conjugate(V, step), prox.squared_l2(V, step / 0.6), atol=1e-14)
    ball = prox.from_projection(prox.project_l1_ball, 0.6)
    largest = prox.moreau_conjugate(ball)(V, step)
    # Optimality for 0.6 max|x|: (v - x) / step has l1 norm 0.6 and sits on the largest entries.
    subgradient = (V - largest) / step
    np.testing.assert_allclose(jnp.sum(jnp.abs(subgradient)), 0.6, rtol=1e-12)
    np.testing.assert_allclose(
        jnp.sum(subgradient * largest), 0.6 * jnp.max(jnp.abs(largest)), rtol=1e-12
    )


@pytest.mark.parametrize("step", STEPS)
def test_conjugating_twice_gives_the_operator_back(step):
    operator = functools.partial(prox.huber, delta=0.5)
    twice = prox.moreau_conjugate(prox.moreau_conjugate(operator))
    np.testing.assert_allclose(twice(V, step), operator(V, step), atol=1e-14)


@pytest.mark.parametrize("step", STEPS)
def test_translated_and_scaled_absolute_values(step):
    # step |3 x - 1.2| = 3 step |x - 0.4|: both rules, in either order, against one soft threshold.
    expected = 0.4 + jaxopt.prox.prox_lasso(V - 0.4, 3 * step)
    one = prox.scaled(prox.translated(prox.l1, 1.2), 3.0)
    other = prox.translated(prox.scaled(prox.l1, 3.0), 0.4)
    np.testing.assert_allclose(one(V, step), expected, atol=1e-14)
    np.testing.assert_allclose(other(V, step), expected, atol=1e-14)


def test_separable_follows_the_upper_part_of_a_tree():
    v = {"slabs": [V, -2 * V], "field": V.reshape(7, 1)}
    operator = prox.separable({"slabs": prox.l1, "field": prox.squared_l2})
    x = jax.jit(operator)(v, 0.5)
    np.testing.assert_allclose(x["slabs"][1], prox.l1(-2 * V, 0.5))
    np.testing.assert_allclose(x["field"], prox.squared_l2(v["field"], 0.5))
    everywhere = prox.separable(prox.l1)(v, 0.5)
    assert jax.tree.structure(everywhere) == jax.tree.structure(v)
    np.testing.assert_allclose(everywhere["field"], prox.l1(v["field"], 0.5))
    with pytest.raises(ValueError, match="field"):
        prox.separable({"slabs": prox.l1})(v, 0.5)


def test_transforms_are_differentiable_in_step_and_parameters():
    def value(shift, factor, step):
        return jnp.sum(
            prox.moreau_conjugate(prox.scaled(prox.translated(prox.l1, shift), factor))(V, step)
            ** 2
        )

    arguments, h = (0.3, 1.7, 0.8), 1e-6
    gradient = jax.grad(value, argnums=(0, 1, 2))(*arguments)
    for i in range(3):
        ends = [
            value(*(a + sign * h * (i == j) for j, a in enumerate(arguments))) for sign in (1, -1)
        ]
        np.testing.assert_allclose(gradient[i], (ends[0] - ends[1]) / (2 * h), rtol=1e-7, atol=1e-9)
