"""One step of SOBA or SABA, as a pure function of arrays.

Dagréou, Ablin, Vaiter & Moreau 2022, algorithm 1. Its v is `-u` here, u the adjoint of the
implicit function theorem.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import tree_map
from jaxtyping import Array, Float, Int, PyTree

from unrolljax.bilevel.blocks import (
    Samples,
    Table,
    Terms,
    count,
    fill,
    pick,
    reduce_variance,
    remember,
)
from unrolljax.bilevel.outer_step import Projection
from unrolljax.bilevel.tolerance import Schedule
from unrolljax.core import trees

Theta = PyTree[Array]
Unknown = PyTree[Array]
Mean = Callable[[Theta, Unknown, Samples], Float[Array, ""]]
StepSize = float | Array | Schedule


class Directions(NamedTuple):
    """The directions against which the three variables move, or terms of them."""

    theta: Theta
    x: Unknown
    adjoint: Unknown


class SingleLoopState(NamedTuple):
    """All that one step hands to the next: arrays, to be saved and passed back.

    - `x`: tracks the inner minimiser, `adjoint` the solution of the adjoint system at it.
    - `inner`, `outer`: the tables of SABA, None in SOBA.
    - `bad_step`: -1, or the step whose iterate was not finite; the state is the one before it.
    """

    step: Int[Array, ""]
    theta: Theta
    x: Unknown
    adjoint: Unknown
    inner: Table | None
    outer: Table | None
    bad_step: Int[Array, ""]


class StochasticProblem(NamedTuple):
    """Both objectives as means over blocks, and how to step."""

    outer: Mean
    inner: Mean
    outer_blocks: Samples
    inner_blocks: Samples
    inner_step: Any
    outer_step: Any
    projection: Projection | None
    key: Array


def advance(problem: StochasticProblem, state: SingleLoopState) -> SingleLoopState:
    """One step from one block of either data set; one that overflows changes nothing."""
    for_outer, for_inner = jax.random.split(jax.random.fold_in(problem.key, state.step))
    i = jax.random.randint(for_inner, (), 0, count(problem.inner_blocks))
    j = jax.random.randint(for_outer, (), 0, count(problem.outer_blocks))
    inner = _inner_terms(problem, state, pick(problem.inner_blocks, i))
    outer = _outer_terms(problem, state, pick(problem.outer_blocks, j))
    moved = _move(problem, state, *_estimates(state, i, inner, j, outer))
    good = trees.all_finite(moved)
    # The tables are too large to be chosen from as a whole: a bad step rewrites their old rows.
    tables = (None, None)
    if state.inner is not None and state.outer is not None:
        tables = (remember(state.inner, i, inner, good), remember(state.outer, j, outer, good))
    theta, x, adjoint = trees.where(good, moved, (state.theta, state.x, state.adjoint))
    return SingleLoopState(
        step=jnp.where(good, state.step + 1, state.step),
        theta=theta,
        x=x,
        adjoint=adjoint,
        inner=tables[0],
        outer=tables[1],
        bad_step=jnp.where(good, state.bad_step, state.step),
    )


def _inner_terms(
    problem: StochasticProblem, state: SingleLoopState, samples: Samples
) -> Directions:
    """Of the inner objective: `d2/dtheta dx u`, `d/dx` and `d2/dx2 u`, from one linearisation."""

    def slopes(theta, x):
        return jax.grad(problem.inner, argnums=1)(theta, x, samples)

    slope, pull = jax.vjp(slopes, state.theta, state.x)
    cross, product = pull(state.adjoint)
    return Directions(cross, slope, product)


def _outer_terms(problem: StochasticProblem, state: SingleLoopState, samples: Samples) -> Terms:
    """Of the outer objective: `d/dtheta` and `d/dx`."""
    return jax.grad(problem.outer, argnums=(0, 1))(state.theta, state.x, samples)


def _estimates(state: SingleLoopState, i, inner: Directions, j, outer: Terms):
    if state.inner is None or state.outer is None:
        return inner, outer
    return reduce_variance(state.inner, i, inner), reduce_variance(state.outer, j, outer)


def _move(problem: StochasticProblem, state: SingleLoopState, inner: Directions, outer: Terms):
    inner_step = _size(problem.inner_step, state.step)
    outer_step = _size(problem.outer_step, state.step)
    theta = trees.add_scaled(state.theta, -outer_step, trees.subtract(outer[0], inner.theta))
    if problem.projection is not None:
        theta = problem.projection(theta)
    x = trees.add_scaled(state.x, -inner_step, inner.x)
    pull = trees.subtract(inner.adjoint, outer[1])
    return theta, x, trees.add_scaled(state.adjoint, -inner_step, pull)


def first_state(
    problem: StochasticProblem, theta0: Theta, x0: Unknown, method: str
) -> SingleLoopState:
    """The state before the first step; SABA's tables take one pass over the data."""
    zero, adjoint = jnp.zeros((), jnp.int32), tree_map(jnp.zeros_like, x0)
    state = SingleLoopState(zero, theta0, x0, adjoint, None, None, zero - 1)
    if method == "soba":
        return state
    inner = fill(lambda samples: _inner_terms(problem, state, samples), problem.inner_blocks)
    outer = fill(lambda samples: _outer_terms(problem, state, samples), problem.outer_blocks)
    return state._replace(inner=inner, outer=outer)


def _size(size: Any, step: Int[Array, ""]) -> Array:
    return jnp.asarray(size(step) if callable(size) else size)
