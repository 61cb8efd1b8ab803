"""Limited-memory BFGS."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from unrolljax.core import trees
from unrolljax.core.minimiser import Minimiser
from unrolljax.core.solver import Problem
from unrolljax.solvers.line_search import backtracking, negligible
from unrolljax.solvers.real_vector import to_vector

Vector = Float[Array, " n"]
LEAST_COSINE = 1e-8
"""Between a step and its gradient change, for the pair to be remembered."""


class CurvaturePairs(NamedTuple):
    """The last steps and gradient changes, newest last; a weight of zero marks an empty place."""

    steps: Float[Array, "history n"]
    changes: Float[Array, "history n"]
    weights: Float[Array, " history"]
    """One over the inner product of step and change."""
    scale: Float[Array, ""]
    """The inverse Hessian where no pair says otherwise."""


class LBFGSState(NamedTuple):
    """An iterate, its objective and gradient, the curvature pairs, and the last full step."""

    x: PyTree[Array]
    value: Float[Array, ""]
    slope: Vector
    pairs: CurvaturePairs
    direction: Vector


class LBFGS(Minimiser):
    """Minimise `problem.objective(x)` with curvature from the last steps (Liu & Nocedal 1989).

    - `history`: static; how many pairs of step and gradient change are kept.

    A backtracking line search takes the place of Wolfe's; a pair of no positive curvature is not
    remembered. The first pair is a probe along the gradient, so that no scale needs to be given.
    The condition is a zero gradient; its Jacobian is the Hessian, declared positive definite. The
    loop stops on the full quasi-Newton step. Pairs and step length carry no derivative: it would
    be multiplied by the gradient, zero at a solution. An unrolled derivative converges, but more
    slowly than the iterate, to whose errors alone the pairs are fitted.
    """

    history: int = eqx.field(default=10, static=True)

    def init(self, problem: Problem, x0: PyTree[Array]) -> LBFGSState:
        """Start at `x0` with one pair, from a short probe along the gradient."""
        v, back = to_vector(x0)
        function = jax.value_and_grad(lambda u: problem.objective(back(u)))
        value, slope = function(v)
        size = jnp.linalg.norm(slope)
        reach = jnp.finfo(v.dtype).eps ** 0.5 * (1 + jnp.linalg.norm(v))
        probe = -slope * reach / jnp.where(size > 0, size, 1)
        pairs = _first_pairs(probe, function(v + probe)[1] - slope, self.history)
        return LBFGSState(x0, value, slope, trees.stop_gradient(pairs), jnp.zeros_like(v))

    def step(self, problem: Problem, state: LBFGSState) -> LBFGSState:
        """One quasi-Newton step, shortened until it lowers the objective."""
        v, back = to_vector(state.x)

        def function(u):
            return problem.objective(back(u))

        pairs = trees.stop_gradient(state.pairs)
        direction = -apply_inverse_hessian(pairs, state.slope)
        length = backtracking(function, v, direction, state.value, state.slope @ direction)
        new = v + length * direction
        value, slope = jax.value_and_grad(function)(new)
        pairs = _remember(pairs, new, new - v, slope - state.slope)
        return LBFGSState(back(new), value, slope, trees.stop_gradient(pairs), direction)

    def read(self, state: LBFGSState) -> PyTree[Array]:
        """The iterate."""
        return state.x

    def residual(self, problem: Problem, before: LBFGSState, after: LBFGSState) -> Vector:
        """The full quasi-Newton step from `before`, which estimates its error."""
        del problem, before
        return after.direction


def apply_inverse_hessian(pairs: CurvaturePairs, v: Vector) -> Vector:
    """The BFGS inverse Hessian of the pairs times v (two-loop recursion, Nocedal 1980)."""

    def newest_first(q, pair):
        step, change, weight = pair
        share = weight * (step @ q)
        return q - share * change, share

    def oldest_first(q, pair):
        step, change, weight, share = pair
        return q + (share - weight * (change @ q)) * step, None

    stacked = pairs.steps, pairs.changes, pairs.weights
    q, shares = jax.lax.scan(newest_first, v, stacked, reverse=True)
    return jax.lax.scan(oldest_first, pairs.scale * q, (*stacked, shares))[0]


def _first_pairs(probe: Vector, change: Vector, history: int) -> CurvaturePairs:
    """Memory of a probe alone; its scale is positive even where its curvature is not."""
    length, turn = jnp.linalg.norm(probe), jnp.linalg.norm(change)
    known = (length > 0) & (turn > 0)
    scale = jnp.where(known, length / jnp.where(known, turn, 1), 1)
    nothing = jnp.zeros((history, probe.size), probe.dtype)
    empty = CurvaturePairs(nothing, nothing, jnp.zeros_like(nothing, shape=history), scale)
    return _remember(empty, jnp.zeros_like(probe), probe, change)


def _remember(pairs: CurvaturePairs, v: Vector, step: Vector, change: Vector) -> CurvaturePairs:
    """The memory with one more pair, or as it was where the pair shows no positive curvature."""
    product = step @ change
    sizes = jnp.linalg.norm(step) * jnp.linalg.norm(change)
    curved = (product > LEAST_COSINE * sizes) & ~negligible(step, v)
    safe = jnp.where(curved, product, 1)
    square = jnp.where(curved, change @ change, 1)
    longer = CurvaturePairs(
        jnp.concatenate([pairs.steps[1:], step[None]]),
        jnp.concatenate([pairs.changes[1:], change[None]]),
        jnp.concatenate([pairs.weights[1:], (1 / safe)[None]]),
        product / square,
    )
    return trees.where(curved, longer, pairs)
