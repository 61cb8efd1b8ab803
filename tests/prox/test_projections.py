import jax
import jax.numpy as jnp
import jaxopt
import numpy as np
import pytest

from unrolljax import prox

RNG = np.random.default_rng(2)
V = jnp.asarray(RNG.standard_normal(8))
NORMAL = jnp.asarray(RNG.standard_normal(8))
LOWER, UPPER = jnp.linspace(-1.0, 0.0, 8), jnp.linspace(0.0, 1.0, 8)
reference = jaxopt.projection

PAIRS = {
    "nonnegative": (prox.project_nonnegative, reference.projection_non_negative),
    "box": (
        lambda v: prox.project_box(v, LOWER, UPPER),
        lambda v: reference.projection_box(v, (LOWER, UPPER)),
    ),
    "linf_ball": (
        lambda v: prox.project_linf_ball(v, 0.4),
        lambda v: reference.projection_linf_ball(v, 0.4),
    ),
    "l2_ball": (
        lambda v: prox.project_l2_ball(v, 0.9),
        lambda v: reference.projection_l2_ball(v, 0.9),
    ),
    "hyperplane": (
        lambda v: prox.project_hyperplane(v, NORMAL, 0.3),
        lambda v: reference.projection_hyperplane(v, (NORMAL, 0.3)),
    ),
    "halfspace": (
        lambda v: prox.project_halfspace(v, NORMAL, 0.3),
        lambda v: reference.projection_halfspace(v, (NORMAL, 0.3)),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("scale", [0.1, 3.0])
def test_agrees_with_jaxopt(name, scale):
    ours, theirs = PAIRS[name]
    for v in (scale * V, -scale * V):
        np.testing.assert_allclose(ours(v), theirs(v), rtol=1e-12, atol=1e-14)


@pytest.fixture
def without_strict_promotion():
    """The reference mixes integers and floats in these two projections."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.mark.usefixtures("without_strict_promotion")
@pytest.mark.parametrize("size", [0.5, 2.0])
@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_simplex_and_l1_ball_agree_with_jaxopt(size, scale):
    v = scale * V
    for ours, theirs in (
        (prox.project_simplex, reference.projection_simplex),
        (prox.project_l1_ball, reference.projection_l1_ball),
    ):
        np.testing.assert_allclose(ours(v, size), theirs(v, size), rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(
            jax.jacobian(ours)(v, size), jax.jacobian(theirs)(v, size), atol=1e-13
        )


def test_equal_entries_share_the_simplex():
    np.testing.assert_allclose(prox.project_simplex(jnp.full(3, 5.0)), jnp.full(3, 1 / 3))
    np.testing.assert_allclose(prox.project_simplex(jnp.array([2.0, 2.0, 0.0])), [0.5, 0.5, 0.0])


def test_l1_ball_leaves_just_what_is_inside():
    v = V / jnp.sum(jnp.abs(V))
    np.testing.assert_array_equal(prox.project_l1_ball(v, 1.01), v)
    np.testing.assert_allclose(prox.l1_norm(prox.project_l1_ball(v, 0.99)), 0.99, rtol=1e-14)


def test_l1_ball_of_radius_zero_is_the_origin():
    np.testing.assert_array_equal(prox.project_l1_ball(V, 0.0), jnp.zeros(8))


def test_affine_set_is_met_along_the_row_space():
    A, b = jnp.asarray(RNG.standard_normal((3, 8))), jnp.asarray(RNG.standard_normal(3))
    x = prox.project_affine_set(V, A, b)
    np.testing.assert_allclose(A @ x, b, atol=1e-13)
    multipliers = jnp.linalg.lstsq(A.T, x - V)[0]
    np.testing.assert_allclose(A.T @ multipliers, x - V, atol=1e-13)
    np.testing.assert_allclose(x, reference.projection_affine_set(V, (A, b)), atol=1e-12)


def test_affine_set_is_differentiable_in_its_description():
    A, b = jnp.asarray(RNG.standard_normal((2, 8))), jnp.ones(2)
    direction, h = jnp.asarray(RNG.standard_normal((2, 8))), 1e-6
    forward = jax.jvp(lambda A: prox.project_affine_set(V, A, b), (A,), (direction,))[1]
    ends = [prox.project_affine_set(V, A + sign * h * direction, b) for sign in (1, -1)]
    np.testing.assert_allclose(forward, (ends[0] - ends[1]) / (2 * h), atol=1e-8)


def test_affine_set_refuses_dependent_rows():
    with pytest.raises(ValueError, match="dependent"):
        prox.project_affine_set(jnp.ones(2), jnp.ones((3, 2)), jnp.ones(3))
