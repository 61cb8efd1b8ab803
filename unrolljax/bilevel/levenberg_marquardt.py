"""Levenberg-Marquardt in a box, as one loop.

Moré, "The Levenberg-Marquardt algorithm: implementation and theory", 1978: columns scaled by the
largest norms seen, orthogonal factorisations instead of normal equations, the damping chosen for
a radius within which the linear model has been found good.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from unrolljax.bilevel.bounds import Box
from unrolljax.bilevel.calibration import Calibration, Linearisation
from unrolljax.bilevel.step import bend, box_step
from unrolljax.core import trees
from unrolljax.core.status import Status

FIRST_RADIUS = 0.1
"""Length of the first step over that of the start, both scaled: cautious, it soon grows."""

SUFFICIENT_GAIN = 1e-4
"""Actual over predicted decrease from which on a step is taken."""

POOR_GAIN, GOOD_GAIN = 0.25, 0.75
"""Below the one the radius falls to a quarter of the step, above the other it doubles."""


class Outcome(NamedTuple):
    """Where a minimisation ended."""

    v: Float[Array, " n"]
    cost: Float[Array, ""]
    status: Int[Array, ""]
    steps: Int[Array, ""]
    relative_step: Float[Array, ""]
    """The undamped step that is left, over the size of v and of the residuals."""


class _State(NamedTuple):
    v: Float[Array, " n"]
    model: Linearisation
    scale: Float[Array, " n"]
    radius: Float[Array, ""]
    status: Int[Array, ""]
    steps: Int[Array, ""]
    relative_step: Float[Array, ""]


def minimise(
    problem: Calibration, v: Float[Array, " n"], box: Box, max_steps: Int[Array, ""], tol: Array
) -> Outcome:
    """Minimise the problem's cost in the box from v.

    `CONVERGED` where the undamped Gauss-Newton step s that stays in the box has
    `|D s| <= tol (|D v| + sqrt(2 cost))`, D the norms of the Jacobian's columns: independent of
    the parameters' units and of the radius. `DIVERGED` where the residuals have ceased to depend
    on a parameter, `NONFINITE` where the cost, its Jacobian or the box refuse the start,
    `MAX_STEPS` else, also where the radius has become nothing without a decrease.
    """

    def unfinished(state):
        moving = state.radius > jnp.finfo(v.dtype).eps * _size(state.model, state.v)
        return (state.status == Status.RUNNING) & (state.steps < max_steps) & moving

    end = jax.lax.while_loop(
        unfinished, lambda state: _advance(problem, box, tol, state), _start(problem, box, tol, v)
    )
    late = end.status == Status.RUNNING
    status = jnp.where(late, Status.MAX_STEPS, end.status).astype(jnp.int32)
    return Outcome(end.v, end.model.cost, status, end.steps, end.relative_step)


def _start(problem: Calibration, box: Box, tol: Array, v: Array) -> _State:
    model = problem.linearise(v)
    model = model._replace(cost=jnp.where(box.contains(v), model.cost, jnp.inf))
    scale = _column_norms(model)
    status, relative_step = _judge(model, scale, v, box, tol)
    status = jnp.where(_finite(model), status, Status.NONFINITE).astype(jnp.int32)
    length = trees.norm(scale * v)
    radius = FIRST_RADIUS * jnp.where(length > 0, length, jnp.sqrt(2 * model.cost))
    return _State(v, model, scale, radius, status, jnp.zeros((), jnp.int32), relative_step)


def _advance(problem: Calibration, box: Box, tol: Array, state: _State) -> _State:
    """Try one step; linearise where it lowers the cost, else draw the radius in."""
    scale = _nonzero(state.scale)
    step = box_step(state.model, state.v, box, scale, state.radius)
    trial = state.v + step.move + bend(problem, state.model, state.v, step, scale)
    trial = box.clip(trial)
    decrease = _Decrease.of(state.model, state.v, step.move, problem.cost(trial))
    here = (state.v, state.model)
    lower = decrease.gain > SUFFICIENT_GAIN
    there = jax.lax.cond(lower, lambda: (trial, problem.linearise(trial)), lambda: here)
    gain = decrease.refined(state.model, there[1], trial - state.v)
    taken = lower & (gain > SUFFICIENT_GAIN) & _finite(there[1])
    v, model = trees.where(taken, there, here)
    length = trees.norm(scale * step.move)
    radius = _next_radius(state.radius, length, jnp.where(taken, gain, -jnp.inf))
    largest = jnp.maximum(state.scale, _column_norms(model))
    status, relative_step = _judge(model, largest, v, box, tol)
    return _State(v, model, largest, radius, status, state.steps + 1, relative_step)


def _judge(
    model: Linearisation, largest: Array, v: Array, box: Box, tol: Array
) -> tuple[Int[Array, ""], Float[Array, ""]]:
    """RUNNING, or the status with which the loop ends here; the relative step that is left."""
    norms = _column_norms(model)
    left = box_step(model, v, box, _nonzero(norms), jnp.full_like(model.cost, jnp.inf)).move
    relative_step = trees.norm(norms * left) / _nonzero(_size(model, v))
    status = jnp.where(relative_step <= tol, Status.CONVERGED, Status.RUNNING)
    lost = (norms == 0) & (largest > 0)
    return jnp.where(jnp.any(lost), Status.DIVERGED, status).astype(jnp.int32), relative_step


class _Decrease(NamedTuple):
    """What a step gains: the predicted decrease, the actual one over it, and what rounding hides.

    Rounding is that of numbers of `_size`, whose differences the residuals may be. The gain is one
    where both decreases are below it (Conn et al. 2000, 17.4).
    """

    predicted: Float[Array, ""]
    gain: Float[Array, ""]
    rounding: Float[Array, ""]

    @classmethod
    def of(cls, model: Linearisation, v: Array, move: Array, cost: Array) -> "_Decrease":
        """From the cost at the trial."""
        response = model.triangle @ move
        predicted = -response @ (model.rotated + response / 2)
        rounding = 10 * jnp.finfo(cost.dtype).eps * jnp.sqrt(2 * model.cost) * _size(model, v)
        ratio = (model.cost - cost + rounding) / (predicted + rounding)
        return cls(predicted, jnp.where(predicted >= 0, ratio, -jnp.inf), rounding)

    def refined(
        self, before: Linearisation, after: Linearisation, moved: Array
    ) -> Float[Array, ""]:
        """The gain; from the gradients at both ends where rounding hides it in the costs.

        Else steps that overshoot would be taken once the costs are alike, and a fit with large
        residuals would circle its minimum (Hager & Zhang 2005, section 4).
        """
        slopes = _gradient(before) + _gradient(after)
        by_slopes = -(slopes @ moved) / 2 / _nonzero(self.predicted)
        return jnp.where(self.predicted > 100 * self.rounding, self.gain, by_slopes)


def _gradient(model: Linearisation) -> Float[Array, " n"]:
    return model.triangle.T @ model.rotated


def _next_radius(radius: Array, length: Array, gain: Array) -> Float[Array, ""]:
    grown = jnp.where(gain > GOOD_GAIN, jnp.maximum(radius, 2 * length), radius)
    return jnp.where(gain < POOR_GAIN, length / 4, grown)


def _size(model: Linearisation, v: Array) -> Float[Array, ""]:
    """How large the numbers are of which the residuals are made: `|D v| + sqrt(2 cost)`."""
    return trees.norm(_column_norms(model) * v) + jnp.sqrt(2 * model.cost)


def _column_norms(model: Linearisation) -> Float[Array, " n"]:
    return jnp.linalg.norm(model.triangle, axis=0)


def _nonzero(numbers: Array) -> Array:
    return jnp.where(numbers > 0, numbers, 1)


def _finite(model: Linearisation) -> Bool[Array, ""]:
    return jnp.isfinite(model.cost + jnp.sum(model.triangle) + jnp.sum(model.rotated))
