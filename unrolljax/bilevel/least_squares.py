"""Calibration of parameters to data: the front door `least_squares` and what it returns."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import tree_leaves, tree_map
from jaxtyping import Array, Bool, Float, Int, PyTree

from unrolljax.bilevel.bounds import Box, as_box, check_inside, stratified_points
from unrolljax.bilevel.calibration import Calibration, Prior
from unrolljax.bilevel.laplace import default_threshold, laplace
from unrolljax.bilevel.levenberg_marquardt import minimise
from unrolljax.bilevel.loss import Linear, Loss
from unrolljax.bilevel.parameters import as_parameters, concrete, like_parameters
from unrolljax.core import trees
from unrolljax.core.closure import hoist_function
from unrolljax.core.refuse import refuse_derivative
from unrolljax.core.solution import SolveFailed
from unrolljax.core.status import Status
from unrolljax.core.stop import check_tolerance
from unrolljax.solvers.real_vector import to_vector


class Starts(NamedTuple):
    """How every start ended; the first is theta0, the others are those asked for."""

    theta: PyTree[Float[Array, "starts ..."]]
    cost: Float[Array, " starts"]
    status: Int[Array, " starts"]
    steps: Int[Array, " starts"]


class Fit(eqx.Module):
    """Calibrated parameters with their status.

    - `theta`: the best parameters found, with the structure of theta0.
    - `status`: a code of `Status`; one per element of a vmapped batch.
    - `cost`: half the sum of the losses and of the squared prior rows, as scipy defines it.
    - `steps`: how many steps were tried from the start that won.
    - `relative_step`: what `tol` was compared with.
    - `covariance`: of the entries of theta in the order of `jax.flatten_util.ravel_pytree`, as
      `laplace.Laplace` defines it; all NaN unless the fit converged. Infinite on the diagonal
      where the data determine nothing, NaN where a bound fixes a parameter.
    - `deviation`: the standard deviations, the roots of its diagonal, a pytree like theta.
    - `on_bound`: which entries a bound holds fixed, a pytree like theta.
    - `starts`: all the starts, None with a single one.
    - `problem`: what was minimised; `identifiability` reads it.
    """

    theta: PyTree[Array]
    status: Int[Array, ""]
    cost: Float[Array, ""]
    steps: Int[Array, ""]
    relative_step: Float[Array, ""]
    covariance: Float[Array, "n n"]
    deviation: PyTree[Array]
    on_bound: PyTree[Bool[Array, "..."]]
    starts: Starts | None
    problem: Calibration

    def raise_if_failed(self) -> "Fit":
        """Return self, or raise `SolveFailed` with each failure and its remedy (host only)."""
        codes = np.atleast_1d(np.asarray(self.status)).ravel()
        failures = [Status(int(code)) for code in np.unique(codes)]
        lines = [
            f"{np.sum(codes == status)} of {codes.size}: {status.name}: {_ADVICE[status]}"
            for status in failures
            if status.failed
        ]
        if lines:
            raise SolveFailed("The calibration failed.\n" + "\n".join(lines))
        return self


_ADVICE = {
    Status.MAX_STEPS: (
        "The parameters were still moving, or no step lowers the cost any more. Raise max_steps or "
        "tol, give starts=... or bounds=...; residuals from an inner solve must be smoother than "
        "tol (tighten that solve). Residuals that fall for ever have no minimiser."
    ),
    Status.DIVERGED: (
        "A parameter ran to where the residuals no longer depend on it: there is no minimiser on "
        "the way from this start. Give bounds=... or priors=..., or start elsewhere."
    ),
    Status.NONFINITE: (
        "The residuals or their Jacobian are NaN or infinite at the start, or the start lies "
        "outside the bounds. Check residuals(theta0, *args), theta0 and bounds; a failed inner "
        "solve gives NaN here."
    ),
}


def least_squares(
    residuals: Callable[..., PyTree[Array]],
    theta0: PyTree[Array],
    *,
    args: tuple[Any, ...] = (),
    bounds: tuple[Any, Any] | None = None,
    priors: tuple[Any, Any] | None = None,
    loss: Loss | None = None,
    starts: PyTree[Array] | int | None = None,
    key: Array | None = None,
    noise_is_known: bool = False,
    max_steps: int = 200,
    tol: float | Array | None = None,
) -> Fit:
    """Parameters that minimise half the sum of squares of `residuals(theta, *args)`.

    Levenberg-Marquardt, compiled once per structure; new numbers compile nothing. The Jacobian
    is forward mode: residuals may call `uj.solve(..., gradient=uj.Implicit(ad="both"))`.

    - `residuals`: `(theta, *args) -> pytree` of arrays, m numbers in all (complex ones count as
      two). Data belong into `args`.
    - `theta0`: the start, any pytree of real floating-point arrays, n entries in all.
    - `bounds`: (lower, upper), numbers or pytrees like theta0; None and infinities are no bounds;
      equal ones fix a parameter.
    - `priors`: (mean, standard deviation), likewise; None or an infinite deviation is no prior.
      The residuals must then be in units of their noise, or they could not be weighed.
    - `loss`: `Linear()`, `Huber(scale)`, `SoftL1(scale)` or `Cauchy(scale)`.
    - `starts`: further starts, all run in one vmapped program: a pytree like theta0 with a leading
      axis, or how many to draw within the bounds (Latin hypercube, from `key`). The converged one
      of the lowest cost wins; where none converged, the lowest cost with its status.
    - `noise_is_known`: the residuals are in units of their noise (scipy's `absolute_sigma`), so
      that the covariance is not scaled by their size. Priors imply it.
    - `max_steps`: tried steps; 0 only judges theta0. `tol`: see `levenberg_marquardt.minimise`;
      by default eps^(5/8), 2e-10 in float64.

    Works under jit and vmap. Raises ValueError or TypeError, naming the argument, for inputs that
    cannot work (fewer rows than parameters, a start outside the bounds); what depends on traced
    values becomes a status. The fit has no derivative: differentiating one gives NaN. For a
    differentiable inner fit solve with `GaussNewton` and `Implicit`.
    """
    theta0 = as_parameters(theta0, "theta0")
    v = to_vector(theta0)[0]
    check_tolerance(_concrete_number(tol), v.dtype, "tol")
    args = trees.arrays(args)
    box, prior = as_box(bounds, theta0), _as_prior(priors, theta0)
    known = noise_is_known or prior is not None
    function = _as_leaf_or_static(hoist_function(residuals, theta0, *args))
    problem = Calibration(function, theta0, args, box, prior, _as_loss(loss, v.dtype), known)
    _check_rows(problem, v)
    check_inside(box, theta0, "theta0")
    several = None if starts is None else _as_starts(starts, key, theta0, v, box)
    small = jnp.asarray(jnp.finfo(v.dtype).eps ** 0.625 if tol is None else tol).astype(v.dtype)
    return _fit(problem, v, several, jnp.asarray(max_steps, jnp.int32), small)


@eqx.filter_jit
def _fit(
    problem: Calibration, v: Array, several: Array | None, max_steps: Array, tol: Array
) -> Fit:
    still, v, several = trees.stop_gradient((problem, v, several))
    starts = None
    if several is None:
        best = minimise(still, v, still.box, max_steps, tol)
    else:
        every = jax.vmap(lambda v: minimise(still, v, still.box, max_steps, tol))(several)
        theta = jax.vmap(still.parameters)(every.v)
        starts = Starts(theta, every.cost, every.status, every.steps)
        failed = every.status != Status.CONVERGED
        winner = jnp.lexsort((every.cost, failed))[0]
        best = tree_map(lambda leaf: leaf[winner], every)
    found = laplace(still, best.v, default_threshold(best.v.dtype))
    converged = best.status == Status.CONVERGED
    covariance = jnp.where(converged, found.covariance, jnp.nan)
    results = {
        "theta": still.parameters(best.v),
        "status": best.status,
        "cost": best.cost,
        "steps": best.steps,
        "relative_step": best.relative_step,
        "covariance": covariance,
        "deviation": still.parameters(jnp.sqrt(jnp.diagonal(covariance))),
        "on_bound": tree_map(lambda on: on > 0, still.parameters(found.on_bound.astype(v.dtype))),
        "starts": starts,
    }
    return Fit(**refuse_derivative(results, problem), problem=problem)


def _as_loss(loss: Loss | None, dtype: jnp.dtype) -> Loss:
    if not isinstance(loss, Loss | None):
        raise TypeError("loss must be Linear(), Huber(scale), SoftL1(scale) or Cauchy(scale).")
    return tree_map(lambda number: jnp.asarray(number).astype(dtype), loss or Linear())


class _Function(eqx.Module):
    """A plain function as a pytree without leaves, so that a fit can leave jit and vmap."""

    function: Callable = eqx.field(static=True)

    def __call__(self, *args: Any) -> PyTree[Array]:
        return self.function(*args)


def _as_leaf_or_static(function: Callable) -> Callable:
    leaves = tree_leaves(function)
    plain = len(leaves) == 1 and leaves[0] is function
    return _Function(function) if plain else function


def _as_prior(priors: Any, theta: PyTree[Array]) -> Prior | None:
    if priors is None:
        return None
    if not (isinstance(priors, tuple) and len(priors) == 2):
        raise ValueError("priors must be a pair (mean, standard deviation).")
    prior = Prior(
        like_parameters(priors[0], theta, 0.0, "priors[0]"),
        like_parameters(priors[1], theta, jnp.inf, "priors[1]"),
    )
    if concrete(prior.deviation) and not np.all(np.asarray(prior.deviation) > 0):
        raise ValueError("priors: every standard deviation must be positive.")
    return prior


def _as_starts(starts: Any, key: Array | None, theta: PyTree, v: Array, box: Box) -> Array:
    """All starts as rows, theta0 first."""
    if isinstance(starts, int):
        if key is None:
            raise ValueError("starts: to draw them within the bounds, pass key=jax.random.key(0).")
        return jnp.concatenate([v[None], stratified_points(key, starts, box, theta)])
    starts = as_parameters(starts, "starts")
    rows = jax.vmap(lambda start: to_vector(start)[0])(starts)
    if rows.shape[1:] != v.shape:
        raise ValueError(
            f"starts must be like theta0 with a leading axis: {v.size} numbers each, not "
            f"{rows.shape[1]}."
        )
    for start in range(len(rows)):
        check_inside(box, tree_map(lambda leaf, at=start: leaf[at], starts), f"starts[{start}]")
    return jnp.concatenate([v[None], rows])


def _check_rows(problem: Calibration, v: Array) -> None:
    rows = jax.eval_shape(problem.data, v).size + (0 if problem.prior is None else v.size)
    if rows < v.size:
        raise ValueError(
            f"residuals returns {rows} numbers for {v.size} parameters and cannot determine them. "
            "Add data, or give priors=..., which count as further residuals."
        )


def _concrete_number(number: float | Array | None) -> float | None:
    return float(number) if number is not None and concrete(number) else None
