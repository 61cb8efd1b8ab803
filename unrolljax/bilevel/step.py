"""One Levenberg-Marquardt step: within a radius, within bounds, bent along the residuals' curve.

Moré, "The Levenberg-Marquardt algorithm: implementation and theory", 1978; Transtrum & Sethna,
"Improvements to the Levenberg-Marquardt algorithm for nonlinear least-squares minimization", 2012.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from unrolljax.bilevel.bounds import Box
from unrolljax.bilevel.calibration import Calibration, Linearisation
from unrolljax.core import trees

RADIUS_SLACK = 1.1
"""A step may be this much longer than the radius, which saves work on the damping (Moré)."""

MOST_TRIALS = 50
"""Newton steps for the damping; a few do unless numbers underflow."""

PROBE = 0.1
"""Where along a step, as a fraction, its curvature is measured."""

LARGEST_BEND = 0.75
"""Twice the acceleration over the velocity up to which a step is bent (Transtrum & Sethna)."""


class Step(NamedTuple):
    """A move, the entries that no bound holds, and the damping that made it short enough."""

    move: Float[Array, " n"]
    free: Bool[Array, " n"]
    damping: Float[Array, ""]


class Factors(NamedTuple):
    """Singular values of scaled columns, squared; ones and zeros in place of negligible ones."""

    squares: Float[Array, " n"]
    kept: Float[Array, " n"]
    left: Float[Array, "n n"]
    rows: Float[Array, "n n"]


def box_step(
    model: Linearisation, v: Float[Array, " n"], box: Box, scale: Float[Array, " n"], radius: Array
) -> Step:
    """The step s that minimises `|R s + q|` where `|D s| <= radius`, with v + s in the box.

    Entries on a bound that binds stay; entries that the step would carry over a bound are put on
    it and the others solved for again, until none is outside. At most n rounds; one without bounds.
    """

    def solve(free, move):
        columns = jnp.where(free[None], model.triangle, 0)
        right = model.rotated + model.triangle @ jnp.where(free, 0, move)
        step, damping = damped_step(_factors(columns / scale[None]), right, radius)
        return Step(jnp.where(free, step / scale, move), free, damping)

    def outside(step):
        return step.free & ((v + step.move < box.lower) | (v + step.move > box.upper))

    def pin(step):
        still = step.free & ~outside(step)
        return solve(still, jnp.where(still, 0, box.clip(v + step.move) - v))

    start = solve(~box.binding(v, model.triangle.T @ model.rotated), jnp.zeros_like(v))
    return jax.lax.while_loop(lambda step: jnp.any(outside(step)), pin, start)


def damped_step(
    factors: Factors, right: Float[Array, " n"], radius: Float[Array, ""]
) -> tuple[Float[Array, " n"], Float[Array, ""]]:
    """`argmin |A s + right|^2 + damping |s|^2` with |s| at most the radius, and that damping.

    It is zero where the radius allows it, else found by Newton's method on the length of s, which
    approaches it from below (Moré 1978, section 5).
    """
    target = factors.kept * (factors.left.T @ right)

    def length(damping):
        return trees.norm(target / (factors.squares + damping))

    def too_long(carry):
        damping, tried = carry
        return (length(damping) > RADIUS_SLACK * radius) & (tried < MOST_TRIALS)

    def newton(carry):
        damping, tried = carry
        step = target / (factors.squares + damping)
        slope = step @ (step / (factors.squares + damping))
        longer = length(damping) ** 2 / slope * (length(damping) / radius - 1)
        return damping + longer, tried + 1

    start = (jnp.zeros_like(radius), jnp.zeros((), jnp.int32))
    damping = jax.lax.while_loop(too_long, newton, start)[0]
    return _solve(factors, target, damping), damping


def bend(
    problem: Calibration, model: Linearisation, v: Array, step: Step, scale: Float[Array, " n"]
) -> Float[Array, " n"]:
    """The second-order part of a step: geodesic acceleration, from one evaluation on the way.

    Zero where it is too large against the step to be trusted, or not finite.
    """
    change = model.project @ (problem.rows(v + PROBE * step.move) - model.rows)
    curvature = 2 / PROBE * (change / PROBE - model.triangle @ step.move)
    factors = _factors(jnp.where(step.free[None], model.triangle, 0) / scale[None])
    target = factors.kept * (factors.left.T @ curvature)
    acceleration = _solve(factors, target, step.damping)
    trusted = 2 * trees.norm(acceleration) <= LARGEST_BEND * trees.norm(scale * step.move)
    return jnp.where(trusted & step.free, acceleration / scale / 2, 0)


def _factors(columns: Float[Array, "n n"]) -> Factors:
    left, values, rows = jnp.linalg.svd(columns)
    kept = values > values.size * jnp.finfo(values.dtype).eps * values[0]
    return Factors(jnp.where(kept, values, 1) ** 2, jnp.where(kept, values, 0), left, rows)


def _solve(factors: Factors, target: Array, damping: Array) -> Float[Array, " n"]:
    return -(factors.rows.T @ (target / (factors.squares + damping)))
