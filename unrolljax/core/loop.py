"""The only loop: one body, driven by `lax.scan` (differentiable) or `lax.while_loop` (early exit).

Both drivers run the same body. Under `scan` a finished iterate is frozen by a `where`, never by a
per-step `lax.cond`, whose branches reverse mode would have to tape at every step.
"""

import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from unrolljax.core import trees
from unrolljax.core.solver import Problem, Solver, State
from unrolljax.core.status import Status
from unrolljax.core.stop import Stop

Checkpoint = Literal["sqrt", "all"] | int | None

DIVERGENCE_FACTOR = 1e10
"""A residual that has grown by this factor over the first one will not come back."""

TAIL = 12
"""Steps at the end of a loop without a test whose residuals are measured; they fix the rate."""


class Info(NamedTuple):
    """Diagnostics of a loop, kept apart from the state; none of it carries a derivative."""

    status: Int[Array, ""]
    steps: Int[Array, ""]
    residual: Float[Array, ""]
    first_residual: Float[Array, ""]
    rate: Float[Array, ""]
    """Measured contraction: running geometric mean of successive residual ratios."""
    trace: Float[Array, " records"]


def run(
    solver: Solver,
    problem: Problem,
    state: State,
    stop: Stop,
    *,
    taped: bool,
    checkpoint: Checkpoint = None,
) -> tuple[State, Info]:
    """Step from `state` until `stop` says so; returns the last state and the diagnostics.

    `taped=True` runs a scan of `stop.max_steps` steps through which reverse mode can go, with the
    checkpointing of `Unroll`; `taped=False` leaves as soon as the solve has ended.
    """

    def advance(carry):
        old, info = carry
        new = solver.step(problem, old)
        return new, measure(solver, problem, old, new, info, stop)

    def frozen_advance(carry):
        return trees.where(carry[1].status == Status.RUNNING, advance(carry), carry)

    def unfinished(carry):
        return (carry[1].steps < stop.max_steps) & (carry[1].status == Status.RUNNING)

    start = (state, _start_info(solver, state, stop))
    if stop.tol is None:
        end = _scan(advance, start, stop.max_steps, checkpoint if taped else None)
    elif taped:
        end = _scan(frozen_advance, start, stop.max_steps, checkpoint)
    else:
        end = jax.lax.while_loop(unfinished, advance, start)
    return end[0], _finish(end[1], stop)


def measure(
    solver: Solver, problem: Problem, old: State, new: State, info: Info, stop: Stop
) -> Info:
    """The diagnostics after one step from `old` to `new`; outside every derivative.

    Where nothing is tested or traced, only the first step and the last ones are measured: a norm
    can cost as much as a step.
    """
    solver, problem, old, new = trees.stop_gradient((solver, problem, old, new))
    unseen = stop.tol is None and not stop.trace_every
    begun = max(stop.max_steps - TAIL, 0) if unseen else 0

    def measured(info: Info) -> Info:
        residual = trees.norm(solver.residual(problem, old, new)).astype(info.residual.dtype)
        first = jnp.where(info.steps == 0, residual, info.first_residual)
        ratio = residual / jnp.where(info.residual > 0, info.residual, 1)
        rate = jnp.where(info.steps < begun + 2, ratio, jnp.sqrt(info.rate * ratio))
        trace = _traced(info, residual, stop.trace_every)
        status = info.status
        if stop.tol is not None:
            size = trees.norm(solver.read(new)).astype(residual.dtype)
            status = _judge(residual, first, size, jnp.asarray(stop.tol).astype(residual.dtype))
        return Info(status, info.steps + 1, residual, first, rate, trace)

    if not begun:
        return measured(info)
    due = (info.steps == 0) | (info.steps >= begun)
    return jax.lax.cond(due, measured, lambda info: info._replace(steps=info.steps + 1), info)


def _traced(info: Info, residual: Array, every: int) -> Float[Array, " records"]:
    if not every:
        return info.trace
    due = (info.steps + 1) % every == 0
    return jnp.where(due, info.trace.at[(info.steps + 1) // every - 1].set(residual), info.trace)


def _judge(residual: Array, first: Array, size: Array, tol: Array) -> Int[Array, ""]:
    """RUNNING, or the code with which the loop ends here."""
    status = jnp.where(residual > DIVERGENCE_FACTOR * first, Status.DIVERGED, Status.RUNNING)
    status = jnp.where(residual <= tol * (1 + size), Status.CONVERGED, status)
    return jnp.where(_finite(residual, size), status, Status.NONFINITE).astype(jnp.int32)


def _finite(*numbers: Array) -> Bool[Array, ""]:
    return jnp.all(jnp.isfinite(jnp.stack(numbers)))


def _start_info(solver: Solver, state: State, stop: Stop) -> Info:
    shapes = jax.eval_shape(lambda s: trees.norm(solver.read(s)), state)
    zero = jnp.zeros((), shapes.dtype)
    records = stop.max_steps // stop.trace_every if stop.trace_every else 0
    trace = jnp.full((records,), jnp.nan, shapes.dtype)
    running = jnp.asarray(Status.RUNNING, jnp.int32)
    return Info(running, jnp.zeros((), jnp.int32), zero, zero, zero, trace)


def _finish(info: Info, stop: Stop) -> Info:
    """Name the way in which a loop ended that was still running after its last step."""
    if stop.tol is None:
        late = jnp.where(jnp.isfinite(info.residual), Status.COMPLETED, Status.NONFINITE)
    else:
        late = jnp.where(
            info.residual > 10 * info.first_residual, Status.DIVERGED, Status.MAX_STEPS
        )
    status = jnp.where(info.status == Status.RUNNING, late, info.status)
    return info._replace(status=status.astype(jnp.int32))


def _scan(body, carry, length: int, checkpoint: Checkpoint):
    """`length` applications of `body`; with checkpoints, a scan of rematerialised scans."""
    segment = segment_length(length, checkpoint)
    if segment is None:
        return _repeat(body, carry, length)
    inner = jax.checkpoint(lambda c: _repeat(body, c, segment))  # pyright: ignore
    carry = _repeat(inner, carry, length // segment)
    rest = length % segment
    return _repeat(jax.checkpoint(body), carry, rest) if rest else carry


def _repeat(body, carry, length: int):
    return jax.lax.scan(lambda c, _: (body(c), None), carry, length=length)[0]


def segment_length(length: int, checkpoint: Checkpoint) -> int | None:
    """Steps between two stored states: None stores every intermediate, 1 every state."""
    if checkpoint is None:
        return None
    if checkpoint == "all":
        return 1
    if checkpoint == "sqrt":
        return max(1, math.isqrt(length))
    return min(int(checkpoint), length)
