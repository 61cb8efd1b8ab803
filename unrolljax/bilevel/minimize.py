"""Minimise an outer objective over the parameters of an inner problem."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import tree_map
from jaxtyping import Array, Int

from unrolljax.bilevel.hypergradient import as_arguments
from unrolljax.bilevel.inputs import check_like, check_parameters, check_steps, of_own_dtype
from unrolljax.bilevel.outer_step import (
    History,
    Optimizer,
    OuterState,
    OuterStep,
    Projection,
    advance,
    empty_history,
    first_state,
)
from unrolljax.bilevel.tolerance import Schedule
from unrolljax.core import trees
from unrolljax.core.refuse import refuse_derivative
from unrolljax.core.solution import SolveFailed
from unrolljax.core.solver import Solver
from unrolljax.core.status import Status, describe
from unrolljax.core.stop import Stop
from unrolljax.gradients.implicit import Implicit
from unrolljax.gradients.mode import GradientMode
from unrolljax.gradients.outer_gradient import Outer, ProblemOf, Theta, Unknown

WARM = ("solution", "adjoint")
"""What an outer step can hand to the next one."""


class Minimum(eqx.Module):
    """Where an outer run ended.

    - `theta`: the parameters after the last update; finite, also after a failure.
    - `x`: the last inner solution. It belongs to the theta before the last update, unless the run
      ended at a stationary point; `hypergradient` from here gives the one at theta, cheaply.
    - `status`: CONVERGED at a stationary point, COMPLETED after all steps where none was asked
      for, else MAX_STEPS; the failure of step `bad_step` where one failed (else -1).
    - `history`: one row per outer step of this call.
    - `state`: pass it back to continue, or save it.
    """

    theta: Theta
    x: Unknown
    status: Int[Array, ""]
    bad_step: Int[Array, ""]
    history: History
    state: OuterState

    def raise_if_failed(self) -> "Minimum":
        """Return self, or raise `SolveFailed` with the first failure and its remedy (host only)."""
        codes, steps = np.ravel(np.asarray(self.status)), np.ravel(np.asarray(self.bad_step))
        for code, step in zip(codes, steps, strict=True):
            if step >= 0:
                raise SolveFailed(f"Outer step {step} failed. {describe(code)}")
            if Status(int(code)).failed:
                raise SolveFailed(
                    "The outer run found no stationary point. Raise minimize(steps=...), continue "
                    "from its state, or loosen minimize(stationary=...)."
                )
        return self


def minimize(
    outer: Outer,
    solver: Solver,
    problem_fn: ProblemOf,
    theta0: Theta,
    x0: Unknown,
    *,
    optimizer: Optimizer,
    steps: int,
    gradient: GradientMode | None = None,
    stop: Stop | None = None,
    tolerance: Schedule | None = None,
    projection: Projection | None = None,
    stationary: float | Array | None = None,
    warm: tuple[str, ...] = WARM,
    certify_every: int = 0,
    state: OuterState | None = None,
) -> Minimum:
    """Minimise `outer(theta, x(theta))` over theta, x the solution of `problem_fn(theta)`.

    Each outer step takes a hypergradient, its solves warm-started, and an optax update. A step
    whose gradient is not finite or whose solves failed ends the run and changes nothing; with
    `Implicit(on_failure="ignore")` only the former does.

    - `outer`, `solver`, `problem_fn`, `gradient`, `stop`: as in `hypergradient`.
    - `theta0`: where to start, feasible; its inexact arrays are optimised. `x0`: first inner start.
    - `optimizer`: an optax transformation, created once, or a function without arguments that makes
      one: the numbers of `jax.tree_util.Partial(optax.sgd, 0.1)` compile nothing when they change.
    - `steps`: static; outer steps at most.
    - `tolerance`: `step -> tolerance`, of the inner solve (for `Stop(tol)`) and of the adjoint
      solve (for `Implicit(tol)`); for example `Geometric` or `Polynomial`. None leaves theirs.
    - `projection`: `theta -> theta`, after every update; optax.projections fit. A constraint can
      also be reparametrised: let `problem_fn` and `outer` take `exp(theta)` for a positive weight.
    - `stationary`: end where `History.stationarity` is at most this; None takes all the steps.
    - `warm`: static; which of "solution" and "adjoint" the next step starts from. `()` starts
      every solve from x0, which matters where the inner problem has several minima.
    - `certify_every`: static; estimate the gradient's error in every so many steps, 0 for never.
    - `state`: continue a run: n and then m steps are the same, to the bit, as n + m.

    Works under jit and vmap; outside jit it compiles once per structure. The result has no
    derivative: differentiating it gives NaN. Raises ValueError or TypeError for inputs that cannot
    work (a theta0 that is not finite); what depends on traced values becomes a status. Source of
    the scheme: Pedregosa 2016 (HOAG); of the adjoint's warm start: Arbel & Mairal 2022 (AmIGO).
    """
    _check(steps, warm, certify_every)
    settings = _settings(
        outer, solver, problem_fn, theta0, x0, optimizer, gradient or Implicit(), stop or Stop(),
        tolerance, projection, stationary, warm, certify_every,
    )  # fmt: skip
    if state is not None:
        check_like(state, eqx.filter_eval_shape(first_state, settings), "minimize")
    return _minimize(settings, state, steps)


def _settings(
    outer, solver, problem_fn, theta0, x0, optimizer, gradient, stop, tolerance, projection,
    stationary, warm, certify_every,
) -> OuterStep:  # fmt: skip
    """What all steps share, its numbers made arrays, so that new ones compile nothing."""
    theta0, x0 = of_own_dtype(theta0), of_own_dtype(x0)
    check_parameters(theta0, "theta0")
    outer, problem_fn = as_arguments(outer, problem_fn, theta0, x0)
    return OuterStep(
        outer=outer,
        solver=trees.arrays(solver),
        problem_fn=problem_fn,
        theta=theta0,
        x0=x0,
        optimizer=trees.arrays(optimizer),
        gradient=trees.arrays(gradient),
        stop=trees.arrays(stop),
        tolerance=trees.arrays(tolerance),
        projection=trees.arrays(projection),
        stationary=None if stationary is None else jnp.asarray(stationary),
        warm=warm,
        certify_every=certify_every,
    )


@eqx.filter_jit
def _minimize(settings: OuterStep, state: OuterState | None, steps: int) -> Minimum:
    inputs = (settings, state)
    settings, state = trees.stop_gradient(inputs)
    state = first_state(settings) if state is None else state

    def unfinished(carry):
        state, _, row, arrived = carry
        return (row < steps) & (state.bad_step < 0) & ~arrived

    def take(carry):
        state, history, row, _ = carry
        state, line, arrived = advance(settings, state)
        history = tree_map(lambda column, number: column.at[row].set(number), history, line)
        return state, history, row + 1, arrived

    zero, no = jnp.zeros((), jnp.int32), jnp.zeros((), bool)
    start = (state, empty_history(settings, steps), zero, no)
    state, history, _, arrived = jax.lax.while_loop(unfinished, take, start)
    late = Status.COMPLETED if settings.stationary is None else Status.MAX_STEPS
    status = jnp.where(arrived, Status.CONVERGED, late)
    status = jnp.where(state.bad_step >= 0, state.status, status).astype(jnp.int32)
    theta = eqx.combine(state.theta, settings.theta)
    made = Minimum(theta, state.x, status, state.bad_step, history, state)
    return refuse_derivative(made, inputs)


def _check(steps: int, warm: tuple[str, ...], certify_every: int) -> None:
    check_steps(steps, "minimize")
    if isinstance(warm, str) or not set(warm) <= set(WARM):
        raise ValueError(f"minimize(warm={warm!r}) must be a tuple with names of {WARM}, or ().")
    if certify_every < 0:
        raise ValueError(f"minimize(certify_every={certify_every}) must be 0 (never) or more.")
