"""Working sets: a wide sparse problem solved on few of its columns at a time."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from unrolljax.core import trees
from unrolljax.core.solver import Solver
from unrolljax.sparse.model_selection.columns import Columns, choose
from unrolljax.sparse.model_selection.quadratic import Quadratic, minimise, violations
from unrolljax.sparse.problems.lasso import Lasso

ROUNDS = 30
"""Of coordinate descent and Newton steps on one quadratic model at most."""

MODELS = 20
"""Quadratic models of a loss that is not quadratic, on one working set at most."""

HALVINGS = 12
"""Step lengths that a Newton step of such a loss may try."""

INNER = 0.1
"""A working set is solved to this share of the violation that the whole problem has."""


class WorkingState(NamedTuple):
    """An iterate, the slope of the smooth part there, and whether the working set was full."""

    x: Float[Array, " n"]
    slope: Float[Array, " n"]
    full: Bool[Array, ""]


class WorkingSet(Solver):
    """Solve a lasso, elastic net or sparse logistic regression on working sets of its columns.

    A step gathers the support and the columns that violate their condition most into a buffer of
    `capacity` columns, minimises over these (coordinate descent and Newton steps on their Gram
    matrix; for losses that are not quadratic, on that of quadratic models), and takes one product
    with the whole matrix to see what is violated next. Memory and time of a step but for that
    product do not grow with the number of columns. After celer (Massias, Gramfort & Salmon 2018)
    and its prox-Newton form (Massias et al. 2020), with buffers of a static size.

    - `capacity`: static; at least the size of the support of the solution, twice is fast. A
      solution with a larger one is never found: the solve ends with MAX_STEPS and a NaN gradient.

    The residual is the largest violation of the optimality condition, relative to the weight of
    its coordinate and times `1 + |x|`: it does not depend on how columns are scaled, and
    `Stop(tol)` bounds the relative violation of dual feasibility. Gradients that go through steps
    are refused; the condition is the gradient on the support, as for `ProximalGradient`.
    """

    capacity: int = eqx.field(static=True)

    def __check_init__(self):
        if self.capacity < 1:
            raise ValueError(f"WorkingSet(capacity={self.capacity}) must be at least 1.")

    @property
    def differentiable_step(self) -> bool:
        """A step holds while loops."""
        return False

    def init(self, problem: Lasso, x0: Float[Array, " n"]) -> WorkingState:
        """Take the slope at `x0`; raises a ValueError unless single entries are penalised."""
        if type(problem).prox is not Lasso.prox:
            raise ValueError(
                "WorkingSet shrinks single unknowns, which solves no "
                f"{type(problem).__name__}: use ProximalGradient."
            )
        slope = problem.slope(problem.A @ x0) @ problem.A + problem.ridge_weight() * x0
        return WorkingState(x0, slope, jnp.zeros((), bool))

    def step(self, problem: Lasso, state: WorkingState) -> WorkingState:
        """Minimise over the columns that matter most."""
        x = state.x
        weight = jnp.broadcast_to(jnp.asarray(problem.weight, x.dtype), x.shape)
        kept = (x != 0) | (weight == 0)
        columns = choose(kept, jnp.abs(state.slope) / _units(weight), self.capacity)
        tol = INNER * self._violation(problem, state)
        u, slope = _solve_on(problem, columns, x, weight, tol)
        x = columns.scatter(u, x.size)
        slope = slope @ problem.A + problem.ridge_weight() * x
        full = jnp.sum((u != 0) & columns.used) >= self.capacity
        return WorkingState(x, slope, full)

    def read(self, state: WorkingState) -> Float[Array, " n"]:
        """The iterate."""
        return state.x

    def optimality(self, problem: Lasso, x: Float[Array, " n"]) -> Float[Array, " n"]:
        """The gradient of smooth part and penalty, which is zero on the support."""
        return trees.gradient(problem.objective, x)

    def support(self, problem: Lasso, x: Float[Array, " n"]) -> Bool[Array, " n"]:
        """The problem's own."""
        return problem.support(x)

    def residual(
        self, problem: Lasso, before: WorkingState, after: WorkingState
    ) -> Float[Array, ""]:
        """The relative violation after the step, times `1 + |x|`."""
        del before
        return self._violation(problem, after) * (1 + trees.norm(after.x))

    def _violation(self, problem: Lasso, state: WorkingState) -> Float[Array, ""]:
        weight = jnp.broadcast_to(jnp.asarray(problem.weight, state.x.dtype), state.x.shape)
        return jnp.max(violations(state.slope, state.x, weight) / _units(weight))


class UntilFull(WorkingSet):
    """A working set whose loop ends once the solution has filled it: it would never change.

    - `tol`: of the loop's stop; below it a full working set is a solution.
    """

    tol: Array

    def residual(
        self, problem: Lasso, before: WorkingState, after: WorkingState
    ) -> Float[Array, ""]:
        """Infinite where columns are violated for which there is no room."""
        residual = super().residual(problem, before, after)
        stuck = after.full & (residual > self.tol * (1 + trees.norm(after.x)))
        return jnp.where(stuck, jnp.inf, residual)


def _units(weight: Float[Array, " n"]) -> Float[Array, " n"]:
    """In what violations are measured: the weight, the largest one where it is zero."""
    largest = jnp.max(weight)
    return jnp.where(weight > 0, weight, jnp.where(largest > 0, largest, 1))


def _solve_on(
    problem: Lasso,
    columns: Columns,
    x: Float[Array, " n"],
    weight: Float[Array, " n"],
    tol: Float[Array, ""],
) -> tuple[Float[Array, " capacity"], Float[Array, " m"]]:
    """Minimise over chosen columns; returns their unknowns and the slope in the prediction."""
    W = columns.matrix(problem.A)
    ridge = jnp.asarray(problem.ridge_weight(), x.dtype)
    unit = columns.gather(_units(weight), 1.0)
    weight = columns.gather(weight, 1.0)

    def violation(u, slope):
        return jnp.max(violations(W @ slope + ridge * u, u, weight) / unit)

    def unfinished(carry):
        u, _, slope, models = carry
        return (violation(u, slope) > tol) & (models < MODELS)

    def advance(carry):
        u, z, slope, models = carry
        G = (W * problem.curvature(z)[None]) @ W.T
        # A column of zeros, or an unused place, would leave its coordinate without curvature.
        empty = (jnp.diag(G) + ridge <= 0).astype(u.dtype)
        G = G + jnp.diag(ridge + empty)
        b = G @ u - W @ slope - ridge * u
        best = minimise(Quadratic(G, b, weight, unit), u, tol, ROUNDS)
        u = _search(problem, W, u, best, weight, ridge)
        z = u @ W
        return u, z, problem.slope(z), models + 1

    u = columns.gather(x)
    z = u @ W
    slope = problem.slope(z)
    rounding = jnp.finfo(u.dtype).eps * (jnp.abs(W) @ (jnp.abs(slope) + jnp.abs(z)))
    tol = jnp.maximum(tol, jnp.max(rounding / unit))
    start = (u, z, slope, jnp.zeros((), jnp.int32))
    u, _, slope, _ = jax.lax.while_loop(unfinished, advance, start)
    return u, slope


def _search(problem, W, u, best, weight, ridge):
    """The first of the halved steps towards `best` that lowers the objective, or `u`."""

    def objective(v):
        quadratic = ridge * jnp.sum(v**2) / 2
        return problem.misfit(v @ W) + quadratic + jnp.sum(weight * jnp.abs(v))

    def too_long(share):
        return (objective(u + share * (best - u)) > start) & (share > 2.0**-HALVINGS)

    start = objective(u)
    tolerance = 8 * jnp.finfo(u.dtype).eps
    start = start + tolerance * jnp.abs(start)
    share = jax.lax.while_loop(too_long, lambda share: share / 2, jnp.ones((), u.dtype))
    return u + share * (best - u)
