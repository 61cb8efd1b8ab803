"""Finite differences of a loss along random directions: the reference for every gradient mode."""

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import tree_leaves, tree_map
from jaxtyping import Array, Bool, Float, Int, PyTree

from unrolljax.core.solution import Solution
from unrolljax.core.solver import Problem, Solver
from unrolljax.core.status import Status
from unrolljax.core.stop import Stop
from unrolljax.gradients.detach import Detach
from unrolljax.gradients.mode import GradientMode

STEPS = tuple(1e-2 / 4**k for k in range(8))
"""Of the differences, relative to the size of each parameter: noise of the loss wants large ones,
kinks near by small ones."""

ENOUGH = 1e-6
"""A slope that is certain to this relative accuracy is not refined further: it is far better, as
its uncertainty is that of an estimate of lower order."""

JUMP = 1e-4
"""One-sided slopes that differ by more than this, relative to both together, make a kink."""


class Evaluation(NamedTuple):
    """What a loss returns at a point.

    - `value`: a real scalar.
    - `status`: the status codes of its solves, any shape; None where nothing is solved.
    - `support`: boolean masks of the coordinates that are free at the solution, or None.
    """

    value: Float[Array, ""]
    status: Int[Array, "..."] | None = None
    support: PyTree[Array] | None = None


Loss = Callable[[PyTree[Array]], Evaluation]


class Slope(NamedTuple):
    """A directional derivative, how uncertain it is, and whether there is none (a kink)."""

    value: float
    uncertainty: float
    kink: bool


class Differences(NamedTuple):
    """Slopes of a loss along directions, one entry each, by finite differences.

    `value` is the loss, `solves` counts the solves of all evaluations by the name of their status,
    `precision` is the dtype in which the loss came out.
    """

    value: float
    slopes: Float[np.ndarray, " directions"]
    uncertainties: Float[np.ndarray, " directions"]
    kinks: Bool[np.ndarray, " directions"]
    solves: dict[str, int]
    precision: str


class TightlySolved(GradientMode):
    """No derivative, and a solution as exact as its dtype allows: what differences are taken of.

    A stop with a tolerance is carried on to 1000 eps, in at most ten times as many steps; a stop
    without one means the iterate after all its steps, and stays.
    """

    def solve(self, solver: Solver, problem: Problem, x0: PyTree[Array], stop: Stop) -> Solution:
        """Solve as `Detach` does."""
        if stop.tol is not None:
            finest = min(jnp.finfo(leaf.dtype).eps for leaf in tree_leaves(x0))
            tol = jnp.minimum(jnp.asarray(stop.tol), 1000 * float(finest))
            stop = Stop(10 * stop.max_steps, tol, 10 * stop.trace_every)
        return Detach().solve(solver, problem, x0, stop)


def difference(loss: Loss, theta: PyTree[Array], directions: Sequence[PyTree]) -> Differences:
    """The slopes of a loss at theta along directions, in float64 whatever JAX is configured for.

    `loss` is a pytree: its inexact arrays are widened like theta. A loss that insists on another
    dtype is taken as it is, which `Differences.precision` tells. Compiles once.
    """
    # A loss may hold float32 arrays that cannot be reached from here: they are promoted.
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        wide, at = (tree_map(_widen, tree) for tree in (loss, theta))
        try:
            eqx.filter_eval_shape(_evaluate, wide, at)
        except (TypeError, ValueError):
            pass
        else:
            return _difference(wide, at, directions)
    return _difference(loss, theta, directions)


def _difference(loss: Loss, theta: PyTree[Array], directions: Sequence[PyTree]) -> Differences:
    solves = Counter()

    def evaluate(point: PyTree) -> Evaluation:
        outcome = jax.device_get(_evaluate(loss, point))
        solves.update(names(outcome.status))
        return outcome

    def line(direction: PyTree) -> Callable[[float], Evaluation]:
        along = tree_map(lambda at, d: jnp.asarray(d, at.dtype), theta, direction)
        return lambda t: evaluate(tree_map(lambda at, d: at + t * d, theta, along))

    here = evaluate(theta)
    slopes = [slope_of_line(line(direction), here) for direction in directions]
    values, uncertainties, kinks = map(np.asarray, zip(*slopes, strict=True))
    precision = str(here.value.dtype)
    return Differences(float(here.value), values, uncertainties, kinks, dict(solves), precision)


def slope_of_line(line: Callable[[float], Evaluation], here: Evaluation) -> Slope:
    """The slope at zero of a function of one number, whose evaluation there is `here`.

    Central differences with each of `STEPS`, extrapolated to sixth order at most; the estimate is
    the one that differs least from those it was made of and from that of the next smaller step,
    and that is its uncertainty (after Ridders 1982). Only steps within which the support stays
    count. There is a kink where fewer than two are left, or where the difference of the one-sided
    slopes tends to a number other than zero.
    """
    rows: list[list[float]] = []
    bends: list[float] = []
    estimates: list[_Estimate] = []
    for h in STEPS:
        ahead, behind = line(h), line(-h)
        if not (_alike(ahead.support, here.support) and _alike(behind.support, here.support)):
            rows, bends, estimates = [], [], []
            continue
        ahead, middle, behind = (float(e.value) for e in (ahead, here, behind))
        right, left = (ahead - middle) / h, (middle - behind) / h
        bends.append(right - left)
        rows.append([(right + left) / 2])
        if len(rows) == 1:
            continue
        rounding = abs(middle) * float(np.finfo(here.value.dtype).eps) / h
        rows[-1], uncertainty = _extrapolate(rows[-1][0], rows[-2], rounding)
        k = int(np.argmin(uncertainty))
        estimates.append(_Estimate(rows[-1][k + 1], uncertainty[k], abs(right) + abs(left)))
        if _settled(estimates):
            break
    if not estimates:
        return Slope(np.nan, np.inf, True)
    best = _most_certain(estimates)
    kink = _tends_to_a_jump(bends, best, estimates[best])
    return Slope(estimates[best].value, estimates[best].uncertainty, kink)


def random_directions(theta: PyTree[Array], count: int, seed: int) -> list[PyTree[np.ndarray]]:
    """Normal directions, in every array of theta scaled by the root mean square of its entries."""
    random = np.random.default_rng(seed)

    def draw(leaf):
        size = np.sqrt(np.mean(np.abs(leaf) ** 2, dtype=float)) if np.size(leaf) else 0.0
        noise = random.standard_normal((*np.shape(leaf), 2))
        noise = noise[..., 0] + 1j * noise[..., 1] if np.iscomplexobj(leaf) else noise[..., 0]
        return (size if size > 0 else 1.0) * noise

    return [tree_map(lambda leaf: draw(np.asarray(leaf)), theta) for _ in range(count)]


def names(status: Any) -> Counter:
    """How many solves ended with each status, by its name."""
    codes = [] if status is None else np.ravel(status)
    return Counter(Status(int(code)).name for code in codes)


class _Estimate(NamedTuple):
    """Of a slope, with one of the steps; `size` is that of both one-sided slopes together."""

    value: float
    uncertainty: float
    size: float


def _settled(estimates: list[_Estimate]) -> bool:
    """Whether the last estimate is certain, and that before it says the same."""
    if len(estimates) < 2:
        return False
    before, last = estimates[-2:]
    return max(last.uncertainty, abs(last.value - before.value)) <= ENOUGH * abs(last.value)


def _most_certain(estimates: list[_Estimate]) -> int:
    """The place of the best estimate; each becomes as uncertain as it differs from the next.

    Without that the smallest of several noisy uncertainties would be small by chance. The last
    one, which has no next, is compared with the one before.
    """
    changes = [abs(small.value - large.value) for large, small in itertools.pairwise(estimates)]
    for k, change in enumerate([*changes, *changes[-1:]]):
        own = estimates[k]
        estimates[k] = own._replace(uncertainty=max(own.uncertainty, change))
    uncertainties = np.asarray([e.uncertainty for e in estimates])
    return int(np.argmin(np.where(np.isnan(uncertainties), np.inf, uncertainties)))


def _extrapolate(
    order2: float, coarser: list[float], rounding: float
) -> tuple[list[float], list[float]]:
    """Estimates of orders 2, 4 and 6 from those of a four times larger step; the uncertainties.

    An estimate is as uncertain as it differs from the two that it was made of, and as `rounding`.
    """
    row, uncertainty = [order2], []
    for order, old in enumerate(coarser[:2], 1):
        row.append(row[-1] + (row[-1] - old) / (16**order - 1))
        uncertainty.append(max(abs(row[-1] - row[-2]), abs(row[-1] - old), rounding))
    return row, uncertainty


def _tends_to_a_jump(bends: list[float], place: int, best: _Estimate) -> bool:
    """Whether the differences of one-sided slopes have a limit that is not zero.

    Of a smooth function they shrink with the step; their limits from two pairs of steps agree only
    where there is a jump. `best` is the estimate of the slope at `place` of such limits.
    """
    limits = [fine + (fine - coarse) / 3 for coarse, fine in itertools.pairwise(bends)]
    if len(limits) < 2:
        return False
    last, before = limits[max(place, 1)], limits[max(place, 1) - 1]
    settled = abs(last - before) <= abs(last) / 2
    return bool(settled and abs(last) > max(JUMP * best.size, 10 * best.uncertainty))


@eqx.filter_jit
def _evaluate(loss: Loss, theta: PyTree[Array]) -> Evaluation:
    return loss(theta)


def _widen(leaf: Any) -> Any:
    """An inexact array in double precision, anything else as it is."""
    if not eqx.is_inexact_array(leaf):
        return leaf
    return jnp.asarray(leaf, complex if jnp.iscomplexobj(leaf) else float)


def _alike(a: PyTree, b: PyTree) -> bool:
    pairs = zip(tree_leaves(a), tree_leaves(b), strict=True)
    return all(np.array_equal(u, v) for u, v in pairs)
