"""Descent on a criterion: Barzilai-Borwein steps, a trust region, and backtracking."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int

from unrolljax.core import trees
from unrolljax.core.status import Status
from unrolljax.sparse.model_selection.criteria import Criterion
from unrolljax.sparse.model_selection.evaluate import Evaluation, Machinery
from unrolljax.sparse.model_selection.penalties import Penalties

SUFFICIENT = 1e-4
"""Share of the decrease that the gradient promises which a step must bring."""

SMALLEST_MOVE = 1e-5
"""Of a logarithm: shorter steps that bring nothing end the descent, at a minimum or a kink."""


class Descent(eqx.Module):
    """How to descend.

    - `steps`: static; evaluations at most.
    - `tol`: end once a step lowers the criterion by less than this share of it.
    - `radius`: largest change of a logarithm in a step.
    - `first`: change of the logarithm with the steepest slope in the first step.
    """

    steps: int = eqx.field(default=20, static=True)
    tol: float | Array = 1e-4
    radius: float | Array = 1.0
    first: float | Array = 0.2


class Course(NamedTuple):
    """Where a descent is.

    - `theta`, `found`: the best point and the criterion there.
    - `rate`: (k,), the next step over minus the gradient, in each coordinate.
    - `status`: RUNNING; CONVERGED where nothing more is to be had, MAX_STEPS after all steps.
    - `overflow`: whether a step was refused because a support did not fit: the last one where the
      descent has converged, else any.
    - `steps`: evaluations; `values`, `thetas`: of each, NaN where not reached.
    """

    theta: Penalties
    found: Evaluation
    rate: Float[Array, " k"]
    status: Int[Array, ""]
    overflow: Bool[Array, ""]
    steps: Int[Array, ""]
    values: Float[Array, " steps"]
    thetas: Float[Array, "steps k"]


def descend(
    criterion: Criterion,
    machinery: Machinery,
    settings: Descent,
    theta: Penalties,
    found: Evaluation,
) -> Course:
    """Descend from a point whose evaluation is known; inside jit."""
    flat, unravel = ravel_pytree(theta)
    numbers = jnp.full((settings.steps,), jnp.nan, flat.dtype)
    points = jnp.full((settings.steps, flat.size), jnp.nan, flat.dtype)
    slope = jnp.max(jnp.abs(ravel_pytree(found.gradient)[0]))
    stationary = (slope == 0) | ~found.good
    rate = jnp.asarray(settings.first, flat.dtype) / jnp.where(stationary, 1, slope)
    failure = jnp.where(found.good, Status.CONVERGED, found.status)
    status = jnp.where(stationary, failure, Status.RUNNING).astype(jnp.int32)
    none = jnp.zeros((), jnp.int32)
    rate = jnp.full(flat.shape, rate)
    start = Course(theta, found, rate, status, jnp.zeros((), bool), none, numbers, points)

    def unfinished(course):
        return (course.status == Status.RUNNING) & (course.steps < settings.steps)

    def advance(course):
        return _advance(criterion, machinery, settings, course, unravel)

    end = jax.lax.while_loop(unfinished, advance, start)
    late = jnp.where(end.status == Status.RUNNING, Status.MAX_STEPS, end.status)
    return end._replace(status=late.astype(jnp.int32))


def _advance(criterion, machinery, settings, course, unravel) -> Course:
    """Try one step: take it if it descends enough, shorten the next one if not."""
    here, slope = ravel_pytree(course.theta)[0], ravel_pytree(course.found.gradient)[0]
    move = -course.rate * slope
    longest = jnp.max(jnp.abs(move))
    shrink = jnp.minimum(1, jnp.asarray(settings.radius, move.dtype) / longest)
    move = shrink * move
    theta = unravel(here + move)
    found = machinery.evaluate(criterion, theta, course.found.x)
    promised = -jnp.sum(move * slope)
    gain = course.found.value - found.value
    accepted = found.good & (gain >= SUFFICIENT * promised)
    slope_there = ravel_pytree(found.gradient)[0]
    rate = jnp.where(
        accepted,
        _secant(course.rate, move, slope_there - slope),
        shrink * course.rate * _shorter(promised, gain, found, slope * slope_there < 0),
    )
    small = accepted & (gain <= jnp.asarray(settings.tol) * jnp.abs(course.found.value))
    small |= ~accepted & (longest <= SMALLEST_MOVE)
    # A step that the quadratic model already calls negligible is not worth a solve.
    small |= ~accepted & (promised <= jnp.asarray(settings.tol) * jnp.abs(course.found.value))
    status = jnp.where(small, Status.CONVERGED, Status.RUNNING).astype(jnp.int32)
    overflow = found.status == Status.CAPACITY_EXCEEDED
    best, at = trees.where(accepted, (found, theta), (course.found, course.theta))
    return Course(
        theta=at,
        found=best,
        rate=rate,
        status=status,
        overflow=jnp.where(small, overflow, course.overflow | overflow),
        steps=course.steps + 1,
        values=course.values.at[course.steps].set(found.value),
        thetas=course.thetas.at[course.steps].set(here + move),
    )


def _secant(rate: Array, move: Array, change: Array) -> Array:
    """The step length of Barzilai & Borwein (1988); twice the last ones without curvature."""
    curvature = jnp.sum(move * change)
    positive = curvature > 0
    return jnp.where(positive, jnp.sum(move**2) / jnp.where(positive, curvature, 1), 2 * rate)


def _shorter(promised: Array, gain: Array, found: Evaluation, turned: Array) -> Array:
    """Shares of a refused step to try next, in each coordinate.

    Where slopes have turned only these coordinates are shortened, so that a kink across one of
    them does not stop the others; the share is that of the parabola through what is known, a tenth
    to a half.
    """
    share = jnp.clip(promised / (2 * (promised - gain)), 0.1, 0.5)
    some = jnp.any(turned) & found.good
    share = jnp.where(found.good, share, 0.25)
    return jnp.where(turned | ~some, share, 1)
