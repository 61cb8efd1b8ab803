"""Search for hyperparameters: a coarse grid, then descent from its best point, in one program."""

import dataclasses
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import tree_leaves, tree_map
from jaxtyping import Array, Float, Int

from unrolljax.core import trees
from unrolljax.core.status import Status
from unrolljax.core.stop import Stop
from unrolljax.sparse.model_selection.adjoint import SupportAdjoint
from unrolljax.sparse.model_selection.criteria import Criterion
from unrolljax.sparse.model_selection.descent import Descent, descend
from unrolljax.sparse.model_selection.evaluate import Evaluation, Machinery
from unrolljax.sparse.model_selection.penalties import Penalties
from unrolljax.sparse.model_selection.threads import one_blas_thread
from unrolljax.sparse.model_selection.working_set import WorkingSet

PATIENCE = 2
"""Points of a row of the grid beyond its best before the rest of the row is left out."""

RISE = 1.02
"""A point is beyond the best where the criterion is above it, and the first, by this factor."""


class Found(NamedTuple):
    """What a search found.

    - `theta`: the best point; `value`, `gradient`: the criterion there.
    - `x`: (parts, unknowns), the inner solutions there; `support`: the largest of their supports.
    - `status`: CONVERGED; MAX_STEPS where the descent had not ended; CAPACITY_EXCEEDED where the
      best point lies next to ones with too large a support; the failure of the best point else.
    - `capacity`: of the working sets, as grown.
    - `grid`: (rows, columns), the criterion on the grid, NaN where left out.
    - `values`, `thetas`: the course of the descent, NaN beyond its end.
    - `evaluations`: how often the criterion was evaluated.
    """

    theta: Penalties
    value: Float[Array, ""]
    gradient: Penalties
    x: Float[Array, "parts n"]
    support: Int[Array, ""]
    status: Int[Array, ""]
    capacity: int
    grid: Float[Array, "rows columns"]
    values: Float[Array, " steps"]
    thetas: Float[Array, "steps k"]
    evaluations: Int[Array, ""]


def search(
    criterion: Criterion,
    grid: Penalties,
    *,
    capacity: int = 256,
    stop: Stop | None = None,
    descent: Descent | None = None,
) -> Found:
    """Minimise a criterion over penalties.

    - `grid`: points with two leading axes, (rows, columns): penalties fall along a row, each solve
      starts from the last solution, and a row is left once the criterion has fallen and risen.
      `log_grid` makes one. One point is a grid of shape (1, 1).
    - `capacity`: of the working sets. Where supports do not fit and the criterion was still
      falling it is doubled, which compiles again, until they do or all columns fit.
    - `stop`: of each inner solve, `Stop(50, 1e-6)` by default (in float32 1e-4).

    Outside jit it compiles once for each kind of criterion, shape and capacity. Raises ValueError
    for a grid or data that cannot work; all else becomes a status. The scheme is that of Bertrand
    et al. (2022), section 4.
    """
    unknowns = criterion.problem.A.shape[1]
    _check(criterion, grid, capacity)
    schedule: Descent = trees.arrays(descent or Descent())
    tol = 1e-6 if criterion.problem.A.dtype == jnp.float64 else 1e-4
    stopping: Stop = trees.arrays(stop or Stop(50, tol))
    criterion, grid = trees.arrays((criterion, grid))
    capacity = min(capacity, unknowns)
    while True:
        machinery = Machinery(WorkingSet(capacity), SupportAdjoint(capacity), stopping)
        with one_blas_thread():
            found = jax.block_until_ready(_search(criterion, grid, machinery, schedule))
        if int(found.status) != Status.CAPACITY_EXCEEDED or capacity == unknowns:
            return found
        capacity = min(2 * capacity, unknowns)


def log_grid(
    problem_top: float, last: float, size: int, ridges: tuple[float, ...] | None = None
) -> Penalties:
    """Weights from `problem_top` down to `last` times that; a row for each ridge weight."""
    weights = np.log(problem_top) + np.linspace(0, np.log(last), size)
    if ridges is None:
        return Penalties(jnp.asarray(weights[None]))
    rows = np.log(np.asarray(ridges))[:, None] + np.zeros((len(ridges), size))
    return Penalties(jnp.asarray(np.tile(weights, (len(ridges), 1))), jnp.asarray(rows))


class _Row(NamedTuple):
    """A walk along a row: the best point, the last solution, and what ends the walk."""

    best: Evaluation
    at: Penalties
    x: Array
    beyond: Array
    overflow: Array
    column: Array
    values: Array


@eqx.filter_jit
def _search(criterion: Criterion, grid: Penalties, machinery: Machinery, descent: Descent) -> Found:
    best, at, values, overflow = _walk_grid(criterion, grid, machinery)
    end = descend(criterion, machinery, descent, at, best)
    short = (overflow & (end.steps == 0)) | end.overflow
    status = jnp.where(short, Status.CAPACITY_EXCEEDED, end.status).astype(jnp.int32)
    return Found(
        theta=end.theta,
        value=end.found.value,
        gradient=end.found.gradient,
        x=end.found.x,
        support=end.found.support,
        status=status,
        capacity=machinery.gradient.capacity,  # pyright: ignore
        grid=values,
        values=end.values,
        thetas=end.thetas,
        evaluations=end.steps + jnp.sum(~jnp.isnan(values)).astype(jnp.int32),
    )


def _walk_grid(criterion: Criterion, grid: Penalties, machinery: Machinery):
    """The best point of a grid, the values, and whether room was lacking next to the best."""
    columns = tree_leaves(grid)[0].shape[1]
    dtype = criterion.problem.A.dtype
    zero = jnp.zeros((criterion.parts, criterion.problem.A.shape[1]), dtype)
    point = tree_map(lambda v: v[0, 0], grid)
    unknown = eqx.filter_eval_shape(machinery.evaluate, criterion, point, zero)
    nothing = tree_map(lambda s: jnp.zeros(s.shape, s.dtype), unknown)
    nothing = nothing._replace(value=jnp.asarray(jnp.inf, dtype))

    def walk(carry, row):
        best, at, short = carry
        no, none = jnp.zeros((), bool), jnp.zeros((), jnp.int32)
        values = jnp.full((columns,), jnp.nan, dtype)
        first = tree_map(lambda v: v[0], row)
        start = _Row(nothing, first, zero, none, no, none, values)
        end = jax.lax.while_loop(
            lambda s: (s.column < columns) & (s.beyond < PATIENCE) & ~s.overflow,
            lambda s: _next_column(criterion, machinery, row, s),
            start,
        )
        better = end.best.value < best.value
        best, at = trees.where(better, (end.best, end.at), (best, at))
        return (best, at, short | (end.overflow & (end.beyond == 0))), end.values

    (best, at, short), values = jax.lax.scan(walk, (nothing, point, jnp.zeros((), bool)), grid)
    return best, at, values, short


def _next_column(criterion, machinery, row, state: _Row) -> _Row:
    theta = tree_map(lambda v: v[state.column], row)
    found = machinery.evaluate(criterion, theta, state.x)
    overflow = found.status == Status.CAPACITY_EXCEEDED
    better = found.good & (found.value < state.best.value)
    # A criterion may rise before it first falls: near the largest penalties, folds differ.
    fallen = RISE * state.best.value < state.values[0]
    rises = fallen & (found.value > RISE * state.best.value)
    beyond = jnp.where(rises, state.beyond + 1, 0)
    best, at = trees.where(better, (found, theta), (state.best, state.at))
    return _Row(
        best,
        at,
        trees.where(found.good, found.x, state.x),
        jnp.where(overflow, state.beyond, beyond).astype(jnp.int32),
        overflow,
        state.column + 1,
        state.values.at[state.column].set(jnp.where(found.good, found.value, jnp.nan)),
    )


def _check(criterion: Criterion, grid: Penalties, capacity: int) -> None:
    if capacity < 1:
        raise ValueError(f"search(capacity={capacity}) must be at least 1.")
    shapes = {np.shape(leaf)[:2] for leaf in tree_leaves(grid)}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2 or 0 in next(iter(shapes)):
        raise ValueError(
            f"search(grid=...) needs two leading axes, (rows, columns), in all its leaves; got "
            f"{sorted(shapes)}. model_selection.log_grid makes one."
        )
    if not all(np.all(np.isfinite(np.asarray(leaf))) for leaf in tree_leaves(grid)):
        raise ValueError("search(grid=...) holds logarithms that are not finite.")
    for field in dataclasses.fields(criterion.problem):
        value = getattr(criterion.problem, field.name)
        if value is not None and not np.all(np.isfinite(np.asarray(value))):
            raise ValueError(f"The criterion's problem has NaN or infinity in {field.name}.")
