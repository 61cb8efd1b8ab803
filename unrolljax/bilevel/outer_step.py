"""One step of an outer optimisation, as a pure function of arrays."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.tree_util import tree_map
from jaxtyping import Array, Bool, Float, Int, PyTree

from unrolljax.bilevel.hypergradient import Report, evaluate, norm
from unrolljax.bilevel.inputs import of_own_dtype
from unrolljax.bilevel.tolerance import Schedule
from unrolljax.core import trees
from unrolljax.core.solver import Solver
from unrolljax.core.status import Status
from unrolljax.core.stop import Stop
from unrolljax.gradients.implicit import Implicit
from unrolljax.gradients.mode import GradientMode
from unrolljax.gradients.outer_gradient import Outer, OuterGradient, ProblemOf, Theta, Unknown

Projection = Callable[[Theta], Theta]
Optimizer = optax.GradientTransformation | Callable[[], optax.GradientTransformation]


class OuterState(NamedTuple):
    """All that one outer step hands to the next: arrays, to be saved and passed back.

    - `step`: how many outer steps were taken; the schedules count by it.
    - `theta`: the inexact arrays of theta; `optimizer`: optax's state.
    - `x`, `adjoint`: solutions of the last inner and adjoint problem.
    - `bad_step`: -1, or the step that failed, and `status`: how it failed. A failed step changes
      nothing else, so that the failure can be repeated from this state.
    """

    step: Int[Array, ""]
    theta: Theta
    optimizer: PyTree[Array]
    x: Unknown
    adjoint: Unknown | None
    bad_step: Int[Array, ""]
    status: Int[Array, ""]


class History(NamedTuple):
    """One row per outer step, of the point before its update; rows that were not reached hold NaN.

    - `status`: that of `hypergradient`'s report, RUNNING in rows that were not reached.
    - `stationarity`: norm of the gradient; with a projection P of `theta - P(theta - gradient)`.
    - `steps`, `adjoint_steps`: iterations of the inner and of the adjoint solve.
    - `error`: estimated relative error of the gradient, NaN in rows where none was asked for.
    """

    value: Float[Array, " steps"]
    stationarity: Float[Array, " steps"]
    tolerance: Float[Array, " steps"]
    steps: Int[Array, " steps"]
    adjoint_steps: Int[Array, " steps"]
    status: Int[Array, " steps"]
    error: Float[Array, " steps"]


class OuterStep(NamedTuple):
    """What an outer step is made of, as `minimize` takes it; the last two are structure."""

    outer: Outer
    solver: Solver
    problem_fn: ProblemOf
    theta: Theta
    x0: Unknown
    optimizer: Optimizer
    gradient: GradientMode
    stop: Stop
    tolerance: Schedule | None
    projection: Projection | None
    stationary: Array | None
    warm: tuple[str, ...]
    certify_every: int


def advance(settings: OuterStep, state: OuterState) -> tuple[OuterState, History, Bool[Array, ""]]:
    """One outer step, its row, and whether it found theta stationary."""
    gradient, stop, tol = _at_tolerance(settings, state)
    theta = eqx.combine(state.theta, settings.theta)
    start = state.x if "solution" in settings.warm else settings.x0
    parts = (settings.outer, settings.solver, settings.problem_fn, theta, start, gradient, stop)
    found, report, error = _evaluate(parts, settings.certify_every, state.step)
    # JAX's gradient of a complex parameter is the conjugate of the direction of ascent.
    slope = tree_map(jnp.conj, found.gradient)
    moved, memory = _update(settings, state, slope, found.value)
    stationarity = _stationarity(settings, state.theta, slope)
    good, status = _judge(gradient, report.status, (found.value, slope, moved))
    arrived = jnp.zeros((), bool)
    if settings.stationary is not None:
        arrived = good & (stationarity <= settings.stationary.astype(stationarity.dtype))
    still = state._replace(
        x=trees.where(good, found.solution.value, state.x),
        adjoint=trees.where(good, found.adjoint, state.adjoint),
        bad_step=jnp.where(good, state.bad_step, state.step),
        status=jnp.where(good, state.status, status),
    )
    after = still._replace(step=state.step + 1, theta=moved, optimizer=memory)
    line = History(
        value=found.value,
        stationarity=stationarity,
        tolerance=tol,
        steps=report.steps,
        adjoint_steps=report.adjoint_steps,
        status=status,
        error=error,
    )
    return trees.where(good & ~arrived, after, still), line, arrived


def _update(settings: OuterStep, state: OuterState, slope: Theta, value: Array):
    """Where the optimizer moves theta, and its memory."""
    optimizer = _transformation(settings.optimizer)
    updates, memory = optimizer.update(slope, state.optimizer, state.theta, value=value)
    return _project(settings, optax.apply_updates(state.theta, updates)), memory


def _judge(gradient: GradientMode, status: Array, numbers: PyTree[Array]):
    """Whether the step may be taken, and its status: that of the report, or NONFINITE."""
    no_failure = (status <= Status.COMPLETED) | (status == Status.UNCERTAIN)
    finite = trees.all_finite(numbers)
    ignores = getattr(gradient, "on_failure", "nan") == "ignore"
    good = finite if ignores else finite & no_failure
    return good, jnp.where(no_failure & ~finite, Status.NONFINITE, status).astype(jnp.int32)


def _evaluate(
    parts: tuple, certify_every: int, step: Int[Array, ""]
) -> tuple[OuterGradient, Report, Float[Array, ""]]:
    """The hypergradient, its report, and its estimated error, NaN where none is due."""

    def plain():
        found, report = evaluate(*parts, certified=False)
        return found, report, jnp.full_like(norm(found.gradient), jnp.nan)

    def certified():
        found, report = evaluate(*parts, certified=True)
        assert report.error is not None
        return found, report._replace(error=None), report.error

    if certify_every == 0:
        return plain()
    return jax.lax.cond(step % certify_every == 0, certified, plain)


def _at_tolerance(settings: OuterStep, state: OuterState):
    """The gradient mode and the stop of this step, and the tolerance of its solve."""
    gradient, stop = settings.gradient, settings.stop
    dtype = norm(settings.x0).dtype
    if settings.tolerance is not None:
        tol = jnp.asarray(settings.tolerance(state.step)).astype(dtype)
        stop = dataclasses.replace(stop, tol=tol)
        if isinstance(gradient, Implicit):
            gradient = dataclasses.replace(gradient, tol=tol)
    if isinstance(gradient, Implicit) and "adjoint" in settings.warm:
        gradient = dataclasses.replace(gradient, guess=state.adjoint)
    return gradient, stop, jnp.asarray(jnp.nan if stop.tol is None else stop.tol).astype(dtype)


def empty_history(settings: OuterStep, rows: int) -> History:
    """The rows before any of them is reached."""

    def numbers(like):
        return jnp.full((rows,), jnp.nan, like.dtype)

    value = eqx.filter_eval_shape(settings.outer, settings.theta, settings.x0)
    size = norm(eqx.filter(settings.theta, eqx.is_inexact_array))
    none = jnp.zeros((rows,), jnp.int32)
    running = jnp.full((rows,), Status.RUNNING, jnp.int32)
    tolerance = numbers(norm(settings.x0))
    return History(numbers(value), numbers(size), tolerance, none, none, running, numbers(size))


def first_state(settings: OuterStep) -> OuterState:
    """The state before the first step."""
    theta, x0 = eqx.filter(settings.theta, eqx.is_inexact_array), settings.x0
    adjoint = None
    if isinstance(settings.gradient, Implicit):
        guess = settings.gradient.guess
        adjoint = tree_map(jnp.zeros_like, x0) if guess is None else guess
    memory = _transformation(settings.optimizer).init(theta)
    zero = jnp.zeros((), jnp.int32)
    running = jnp.asarray(Status.RUNNING, jnp.int32)
    return OuterState(zero, theta, of_own_dtype(memory), x0, adjoint, zero - 1, running)


def _transformation(optimizer: Optimizer) -> optax.GradientTransformationExtraArgs:
    made = optimizer if isinstance(optimizer, optax.GradientTransformation) else optimizer()
    return optax.with_extra_args_support(made)


def _project(settings: OuterStep, theta: Theta) -> Theta:
    """The projection of the inexact arrays of theta."""
    if settings.projection is None:
        return theta
    projected = settings.projection(eqx.combine(theta, settings.theta))
    return eqx.filter(projected, eqx.is_inexact_array)


def _stationarity(settings: OuterStep, theta: Theta, slope: Theta) -> Float[Array, ""]:
    if settings.projection is None:
        return norm(slope)
    return norm(trees.subtract(theta, _project(settings, trees.subtract(theta, slope))))
