"""Anderson acceleration of a fixed-point map."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from unrolljax.core import trees
from unrolljax.core.solver import Problem, Solver
from unrolljax.solvers.real_vector import to_vector

Vector = Float[Array, " n"]
Rows = Float[Array, "history n"]


class AndersonState(NamedTuple):
    """An iterate, its gap `map(x) - x`, and the last changes of both (rows, newest last)."""

    x: PyTree[Array]
    gap: Vector
    moves: Rows
    gap_changes: Rows


class Anderson(Solver):
    """Find x with `map(problem, x) = x` by Anderson acceleration, type II (Walker & Ni 2011).

    The next iterate is that affine combination of the last ones whose gaps, combined alike, are
    least; `map` must return an unknown like its own.

    - `history`: static; how many changes are combined.
    - `ridge`: Tikhonov term of the least squares, relative to normalised gap changes.
    - `mixing`: share of the combined gap that is added, 1 for all of it.

    The condition is `x - map(problem, x) = 0`. The loop stops on the gap, not on the step. The
    weights keep their derivative: an unrolled derivative then converges with the iterate, to whose
    errors alone frozen weights would be fitted. Where the gap is rounding error the weights are
    zero, and value and derivative take plain steps.
    """

    map: Callable[[Problem, PyTree[Array]], PyTree[Array]]
    history: int = eqx.field(default=5, static=True)
    ridge: float | Array = 1e-10
    mixing: float | Array = 1.0

    def init(self, problem: Problem, x0: PyTree[Array]) -> AndersonState:
        """Start at `x0` with no changes known."""
        gap = self._gap(problem, x0)
        nothing = jnp.zeros((self.history, gap.size), gap.dtype)
        return AndersonState(x0, gap, nothing, nothing)

    def step(self, problem: Problem, state: AndersonState) -> AndersonState:
        """One combination and one evaluation of the map."""
        x, gap, moves, gap_changes = state
        v, back = to_vector(x)
        weights = self._weights(v, gap, gap_changes)
        mixing = jnp.asarray(self.mixing).astype(v.dtype)
        move = mixing * gap - weights @ (moves + mixing * gap_changes)
        x = back(v + move)
        new_gap = self._gap(problem, x)
        return AndersonState(x, new_gap, _append(moves, move), _append(gap_changes, new_gap - gap))

    def read(self, state: AndersonState) -> PyTree[Array]:
        """The iterate."""
        return state.x

    def optimality(self, problem: Problem, x: PyTree[Array]) -> PyTree[Array]:
        """`x - map(problem, x)`."""
        return trees.subtract(x, self.map(problem, x))

    def residual(self, problem: Problem, before: AndersonState, after: AndersonState) -> Vector:
        """The gap of the iterate."""
        del problem, before
        return after.gap

    def _gap(self, problem: Problem, x: PyTree[Array]) -> Vector:
        return to_vector(trees.subtract(self.map(problem, x), x))[0]

    def _weights(self, v: Vector, gap: Vector, gap_changes: Rows) -> Float[Array, " history"]:
        """Least-squares weights; none for changes, or from a gap, that drown in rounding error."""
        eps = jnp.finfo(v.dtype).eps
        floor = (10 * eps * (1 + jnp.linalg.norm(jax.lax.stop_gradient(v)))) ** 2
        sizes = jnp.sqrt(jnp.sum(gap_changes**2, axis=1) + floor)
        rows = gap_changes / sizes[:, None]
        ridge = jnp.asarray(self.ridge).astype(v.dtype) + 10 * self.history * eps
        gram = rows @ rows.T + ridge * jnp.eye(self.history, dtype=v.dtype)
        weights = jax.scipy.linalg.solve(gram, rows @ gap, assume_a="pos") / sizes
        return jnp.where(gap @ gap > floor, weights, 0)


def _append(rows: Rows, row: Vector) -> Rows:
    return jnp.concatenate([rows[1:], row[None]])
