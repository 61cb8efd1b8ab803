"""Finite differences along a line: a step that fits, kinks, precision, directions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unrolljax.gradients.checks.comparison import Comparison, Row
from unrolljax.gradients.checks.differences import (
    STEPS,
    Evaluation,
    difference,
    random_directions,
    slope_of_line,
)

THETA = jnp.asarray([0.8, -0.5, 0.3, 1.1, -0.2, 0.6])


def line_of(function):
    return lambda t: Evaluation(np.asarray(function(t), float))


@pytest.mark.parametrize(
    ("function", "slope"),
    [
        (np.exp, 1.0),
        (lambda t: t**4, 0.0),
        (lambda t: 3 * t + 50 * t**2, 3.0),
        # Kinks within the larger steps, on either side.
        (lambda t: abs(t - 1e-4), -1.0),
        (lambda t: 2 * t + abs(t + 3e-4), 3.0),
        # Noise that spoils the smaller steps.
        (lambda t: 6 * t + t**2 + 1e-9 * np.sin(1e12 * t), 6.0),
    ],
)
def test_differences_find_a_step_that_fits(function, slope):
    line = line_of(function)
    found = slope_of_line(line, line(0.0))
    assert not found.kink
    assert abs(found.value - slope) <= 1e-6 * max(abs(slope), 1)
    assert abs(found.value - slope) <= max(3 * found.uncertainty, 1e-9)
    assert found.uncertainty < 1e-3


@pytest.mark.parametrize("size", [1e-2, 1.0, 1e4])
@pytest.mark.parametrize("place", [0.0, 1e-9, 3e-7])
def test_kinks_are_told(place, size):
    line = line_of(lambda t: np.exp(3 * t) + size * abs(t - place))
    assert slope_of_line(line, line(0.0)).kink


def test_a_changing_support_is_a_kink_only_within_the_smallest_step():
    def line(t, place):
        return Evaluation(np.asarray(2 * t + (max(t - place, 0)) ** 2), None, np.asarray(t > place))

    for place, kink in ((0.0, True), (1e-7, True), (1e-4, False), (-1e-4, False)):
        found = slope_of_line(lambda t, p=place: line(t, p), line(0.0, place))
        assert found.kink is kink
        assert kink == bool(np.isnan(found.value))
        if not kink:
            assert found.value == pytest.approx(2 + 2 * max(0, -place), rel=1e-9)


def test_a_loss_that_is_not_finite_has_no_slope():
    line = line_of(lambda t: np.nan if t else 1.0)
    found = slope_of_line(line, line(0.0))
    assert np.isnan(found.value)
    assert not found.kink


def test_a_loss_in_float32_says_so():
    def single(theta):
        return Evaluation(jnp.sum(theta.astype(jnp.float32) ** 2))

    found = difference(single, THETA, random_directions(THETA, 2, 0))
    assert found.precision == "float32"
    remarks = Comparison((Row("mode", "-"),), found).remarks
    assert remarks[-1].startswith("The loss computes in float32")


def test_a_loss_that_cannot_be_widened_is_taken_as_it_is():
    def narrow(theta):
        body = lambda carry, _: (carry + jnp.sum(theta), None)  # noqa: E731
        return Evaluation(jax.lax.scan(body, jnp.zeros((), jnp.float32), length=2)[0])

    theta = THETA.astype(jnp.float32)
    found = difference(narrow, theta, random_directions(theta, 1, 0))
    assert found.precision == "float32"
    (direction,) = random_directions(theta, 1, 0)
    np.testing.assert_allclose(found.slopes, [2 * np.sum(direction)], rtol=1e-3)
    assert abs(found.slopes[0] - 2 * np.sum(direction)) < 3 * found.uncertainties[0] < 1e-3


def test_the_seed_decides_the_directions():
    one, same, other = (random_directions(THETA, 2, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)
    sizes = np.concatenate([np.ravel(d) for d in random_directions(100 * jnp.ones(500), 4, 0)])
    assert np.std(sizes) == pytest.approx(100, rel=0.1)
    assert np.std(random_directions(jnp.zeros(500), 4, 0)) == pytest.approx(1, rel=0.1)
    assert STEPS[0] == 1e-2
