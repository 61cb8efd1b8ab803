"""Stochastic bilevel optimisation in a single loop: SOBA and SABA."""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.tree_util import tree_map
from jaxtyping import Array, Int

from unrolljax.bilevel.blocks import Samples, in_blocks
from unrolljax.bilevel.inputs import check_like, check_parameters, check_steps, of_own_dtype
from unrolljax.bilevel.outer_step import Projection
from unrolljax.bilevel.soba import (
    Mean,
    SingleLoopState,
    StepSize,
    StochasticProblem,
    Theta,
    Unknown,
    advance,
    first_state,
)
from unrolljax.core import trees
from unrolljax.core.closure import hoist_function
from unrolljax.core.refuse import refuse_derivative
from unrolljax.core.status import Status


class StochasticMinimum(eqx.Module):
    """Where a stochastic run ended.

    - `theta`, `x`: the last finite iterates.
    - `status`: COMPLETED, or NONFINITE where step `bad_step` (else -1) overflowed.
    - `trace`: theta before every `record_every`-th step, one row each; NaN in rows that were not
      reached. None where nothing is recorded.
    - `state`: pass it back to continue, or save it.
    """

    theta: Theta
    x: Unknown
    status: Int[Array, ""]
    bad_step: Int[Array, ""]
    trace: Theta | None
    state: SingleLoopState


def single_loop(
    outer: Mean,
    inner: Mean,
    theta0: Theta,
    x0: Unknown,
    outer_data: Samples,
    inner_data: Samples,
    *,
    inner_step: StepSize,
    outer_step: StepSize,
    steps: int,
    batch_sizes: tuple[int, int],
    key: Array,
    method: Literal["saba", "soba"] = "saba",
    projection: Projection | None = None,
    record_every: int = 0,
    state: SingleLoopState | None = None,
) -> StochasticMinimum:
    """Minimise `outer(theta, x, outer_data)`, x the minimiser of `inner(theta, x, inner_data)`.

    No inner problem is ever solved: x, the adjoint u and theta move at once, each against an
    estimate of its direction from one batch of either data set (Dagréou, Ablin, Vaiter & Moreau
    2022, algorithm 1, with u = -v), all derivatives at the same point::

        x     <- x     - inner_step * d inner/dx
        u     <- u     - inner_step * (d2 inner/dx2 u - d outer/dx)
        theta <- theta - outer_step * (d outer/dtheta - d2 inner/dtheta dx u)

    SOBA takes the estimates as they are: with constant steps it ends in a noise ball, and with
    `Polynomial(a, 2/5)` and `Polynomial(b, 3/5)` it converges slowly. SABA keeps the last terms of
    every batch (SAGA) and converges with constant steps like a method on all the data; it stores
    one x-like, one u-like and one theta-like array per batch.

    - `outer(theta, x, samples)`, `inner(theta, x, samples)`: means over the samples, the latter
      strongly convex in x. Data are pytrees whose leading axis counts samples.
    - `inner_step`, `outer_step`: numbers or schedules `step -> number`; the inner one below 1/L.
    - `batch_sizes`: static, of (outer, inner); they divide the numbers of samples. Batches are
      blocks of consecutive samples, drawn uniformly: shuffle sorted data first.
    - `key`: step t draws from `fold_in(key, t)`, so that a continued run is the same to the bit.
    - `projection`: `theta -> theta`, after every step. `record_every`: static; 0 records nothing.

    Works under jit and vmap. The result has no derivative: differentiating it gives NaN. Raises
    ValueError or TypeError for inputs that cannot work; an overflow becomes a status.
    """
    _check(steps, method, record_every)
    theta0, x0 = of_own_dtype(theta0), of_own_dtype(x0)
    check_parameters(theta0, "theta0")
    functions, data = trees.arrays(((outer, inner), (outer_data, inner_data)))
    moves = trees.arrays((inner_step, outer_step, projection))
    problem = _problem(functions, data, moves, theta0, x0, batch_sizes, key)
    if state is not None:
        like = eqx.filter_eval_shape(first_state, problem, theta0, x0, method)
        check_like(state, like, "single_loop")
    return _run(problem, theta0, x0, state, method, steps, record_every)


def _problem(functions, data, moves, theta0, x0, batch_sizes, key) -> StochasticProblem:
    """What all steps share; pairs are of (outer, inner)."""
    outer, inner = (hoist_function(f, theta0, x0, d) for f, d in zip(functions, data, strict=True))
    inner_step, outer_step, projection = moves
    return StochasticProblem(
        outer=outer,
        inner=inner,
        outer_blocks=in_blocks(data[0], batch_sizes[0], "outer_data"),
        inner_blocks=in_blocks(data[1], batch_sizes[1], "inner_data"),
        inner_step=inner_step,
        outer_step=outer_step,
        projection=projection,
        key=key,
    )


def _check(steps: int, method: str, record_every: int) -> None:
    check_steps(steps, "single_loop")
    if method not in ("saba", "soba"):
        raise ValueError(f"single_loop(method={method!r}) is unknown: 'saba' or 'soba'.")
    if record_every < 0:
        raise ValueError(f"single_loop(record_every={record_every}) must be 0 (never) or more.")


@eqx.filter_jit
def _run(
    problem: StochasticProblem, theta0, x0, state, method, steps, record_every
) -> StochasticMinimum:
    inputs = (problem, theta0, x0, state)
    problem, theta0, x0, state = trees.stop_gradient(inputs)
    state = first_state(problem, theta0, x0, method) if state is None else state
    first = state.step
    trace = _empty_trace(theta0, steps, record_every)

    def unfinished(carry):
        state, _ = carry
        return (state.step < first + steps) & (state.bad_step < 0)

    def take(carry):
        state, trace = carry
        if trace is not None:
            trace = _record(trace, state.step - first, record_every, state.theta)
        return advance(problem, state), trace

    state, trace = jax.lax.while_loop(unfinished, take, (state, trace))
    status = jnp.where(state.bad_step < 0, Status.COMPLETED, Status.NONFINITE).astype(jnp.int32)
    made = StochasticMinimum(state.theta, state.x, status, state.bad_step, trace, state)
    return refuse_derivative(made, inputs)


def _empty_trace(theta: Theta, steps: int, record_every: int) -> Theta | None:
    if not record_every:
        return None
    rows = -(-steps // record_every)
    return tree_map(lambda v: jnp.full((rows, *v.shape), jnp.nan, v.dtype), theta)


def _record(trace: Theta, done: Int[Array, ""], record_every: int, theta: Theta) -> Theta:
    """Write the row that is due; a row beyond the last is dropped."""
    due = done % record_every == 0

    def write(rows, now):
        row = jnp.where(due, done // record_every, rows.shape[0])
        return rows.at[row].set(now, mode="drop")

    return tree_map(write, trace, theta)
