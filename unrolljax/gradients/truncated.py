"""Truncated unrolling: credit is carried back through the last steps only."""

from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.tree_util import tree_map
from jaxtyping import Array, Bool, Int, PyTree

from unrolljax.core import trees
from unrolljax.core.loop import Info, run
from unrolljax.core.solution import Solution
from unrolljax.core.solver import Problem, Solver, State
from unrolljax.core.status import Status
from unrolljax.core.stop import Stop
from unrolljax.gradients.adjoint.theorem import no_cotangent
from unrolljax.gradients.implicit import check_convergence_is_tested, check_on_failure
from unrolljax.gradients.mode import GradientMode, assemble, run_untaped
from unrolljax.gradients.rate import measured_rate
from unrolljax.gradients.series import Linear, Split, linearise_step, split, transpose

SAFETY = 1.5
"""By how much the estimate of a neglected rest is raised before it is trusted."""


class Truncated(GradientMode):
    """The derivative of the last `depth` steps; earlier iterates are held constant.

    - `depth`: an integer tapes that many last steps (memory grows with it, whatever max_steps).
      "auto" measures the contraction instead: the adjoint is carried back, without a tape, at the
      last state until what is neglected is below `tol` of the whole (`carry_back`). The rate is
      the larger of the adjoint's and the forward iteration's: the forward ratio guards against
      directions that the adjoint has not felt yet (Aicher, Foti & Fox 2019).
    - `tol`: relative credit that may be neglected, for "auto".
    - `max_depth`: bound on the automatic depth; reaching it is a failure.
    - `on_failure`: for "auto", "nan" makes the derivative NaN where the solve did not converge or
      the bound was reached; "ignore" passes it on.

    An integer depth differentiates in forward and reverse mode, "auto" in reverse mode.
    """

    depth: int | Literal["auto"] = eqx.field(default="auto", static=True)
    tol: float | Array = 1e-3
    max_depth: int = eqx.field(default=10_000, static=True)
    on_failure: Literal["nan", "ignore"] = eqx.field(default="nan", static=True)

    def __check_init__(self):
        check_on_failure(self)
        counted = type(self.depth) is int and self.depth >= 1
        if not (counted or self.depth == "auto"):
            raise ValueError(f"Truncated(depth={self.depth!r}): use a positive integer or 'auto'.")
        if isinstance(self.tol, float) and not 0 < self.tol < 1:
            raise ValueError(f"Truncated(tol={self.tol:g}): a fraction between 0 and 1.")

    def check(self, solver: Solver, stop: Stop, dtype: Any) -> None:
        """Refuse a step that cannot be differentiated, and for "auto" a stop without a test."""
        del dtype
        self._needs_a_differentiable_step(solver)
        if self.depth == "auto":
            check_convergence_is_tested(self, stop)
        elif self.depth >= stop.max_steps:
            raise ValueError(
                f"Truncated(depth={self.depth}) is not below Stop(max_steps={stop.max_steps}). "
                "Use gradient=Unroll() to differentiate every step."
            )

    def solve(self, solver: Solver, problem: Problem, x0: PyTree[Array], stop: Stop) -> Solution:
        """Step until `stop` says so, off every differentiated path; then tape or attach the end."""
        solve = self._attached if self.depth == "auto" else self._taped
        return solve(solver, problem, x0, stop)

    def _taped(self, solver, problem, x0, stop):
        head_steps = stop.max_steps - int(self.depth)
        head = Stop(head_steps, stop.tol, min(stop.trace_every, head_steps))
        state, info = run_untaped(solver, problem, x0, head)
        tail = Stop(max_steps=int(self.depth), tol=None)
        state, last = run(solver, problem, trees.stop_gradient(state), tail, taped=True)
        info = _append(info, last, trees.norm(solver.read(state)), stop)
        return assemble(solver, problem, solver.read(state), state, info)

    def _attached(self, solver, problem, x0, stop):
        state, info = run_untaped(solver, problem, x0, stop)
        good = (info.status == Status.CONVERGED) | (self.on_failure == "ignore")
        state = self._attach(solver, problem, state, measured_rate(info), good)
        return assemble(solver, problem, solver.read(state), state, info)

    def _attach(self, solver, problem, state: State, rate: Array, good: Array) -> State:
        """`state`, whose cotangent is carried back as far as the truncation rule asks."""
        theta, last = split((solver, problem)), split(state)

        @jax.custom_vjp
        def value(theta_arrays, state_arrays, limits):
            del theta_arrays, limits
            return state_arrays[0]

        def forward(theta_arrays, state_arrays, limits):
            # Recursing makes a second derivative refuse (a while loop) instead of losing terms.
            numbers = value(theta_arrays, state_arrays, limits)
            return numbers, (theta_arrays, (numbers, state_arrays[1]), limits)

        def backward(saved, cotangent):
            theta_arrays, state_arrays, (rate, good, tol) = saved
            linear = linearise_step(
                Split(theta_arrays[0], theta_arrays[1], theta.static),
                Split(state_arrays[0], state_arrays[1], last.static),
            )
            back = transpose(linear.through_state, state_arrays[0])
            total, enough, _ = carry_back(back, cotangent, rate, tol, self.max_depth)
            bar = transpose(linear.from_theta, theta_arrays[0])(total)
            if self.on_failure == "nan":
                bar = tree_map(
                    lambda v: jnp.where(good & enough, v, jnp.full_like(v, jnp.nan)), bar
                )
            return (bar, no_cotangent(theta_arrays[1])), *map(no_cotangent, saved[1:])

        value.defvjp(forward, backward)
        numbers = value(theta[:2], last[:2], (rate, good, self.tol))
        return Split(numbers, last.others, last.static).whole


class Carried(NamedTuple):
    """An adjoint carried back: the sum, whether the neglected rest is small, and the terms."""

    total: PyTree[Array]
    enough: Bool[Array, ""]
    depth: Int[Array, ""]


class _Series(NamedTuple):
    """The sum so far, its last term with its norm and ratio; the gain and where it is measured."""

    total: PyTree[Array]
    term: PyTree[Array]
    size: Array
    ratio: Array
    gain: Array
    mark: PyTree[Array]
    mark_size: Array
    depth: Array


def carry_back(
    back: Linear, first: PyTree[Array], rate: Array, tol: Array, max_depth: int | Array
) -> Carried:
    """`sum_k back^k(first)` until the neglected rest is below `tol` of it.

    The rest after the term a_k is at most `gain |a_k|`, with gain the larger of
    `1 / (1 - slowest)`, slowest the larger of the last adjoint ratio and `rate`, and of
    what the series has shown: how much it grew, over the term from which it grew, each time that
    its terms have halved. The latter sees the transient growth of a non-normal Jacobian.
    """

    def enough(s):
        slowest = jnp.maximum(s.ratio, rate)
        gain = jnp.maximum(1 / jnp.where(slowest < 1, 1 - slowest, 0), s.gain)
        return SAFETY * gain * s.size <= tol * trees.norm(s.total)

    def unfinished(s):
        return ~enough(s) & (s.depth < max_depth) & (s.size > 0) & jnp.isfinite(s.size)

    def extend(s):
        term = back(s.term)
        total, size = trees.add(s.total, term), trees.norm(term)
        halved = size <= s.mark_size / 2
        grown = trees.norm(trees.subtract(total, s.mark)) / s.mark_size
        return _Series(
            total,
            term,
            size,
            size / s.size,
            jnp.where(halved, jnp.maximum(s.gain, grown), s.gain),
            trees.where(halved, total, s.mark),
            jnp.where(halved, size, s.mark_size),
            s.depth + 1,
        )

    size = trees.norm(first)
    zero, one = jnp.zeros_like(size), jnp.ones((), jnp.int32)
    start = _Series(first, first, size, jnp.full_like(size, jnp.inf), zero, first, size, one)
    end = jax.lax.while_loop(unfinished, extend, start)
    return Carried(end.total, enough(end) | (end.size == 0), end.depth)


def _append(head: Info, tail: Info, size: Array, stop: Stop) -> Info:
    """The diagnostics of head and tail together; a tail may still converge, or break."""
    status = head.status
    if stop.tol is not None:
        small = tail.residual <= stop.tol * (1 + size)
        status = jnp.where((status == Status.MAX_STEPS) & small, Status.CONVERGED, status)
    status = jnp.where(tail.status == Status.NONFINITE, Status.NONFINITE, status)
    return head._replace(
        status=status.astype(jnp.int32), steps=head.steps + tail.steps, residual=tail.residual
    )
