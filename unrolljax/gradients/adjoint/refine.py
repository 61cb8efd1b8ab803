"""The adjoint system solved until its error, not its residual, is below a tolerance."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from unrolljax.core import trees
from unrolljax.core.solver import Structure
from unrolljax.core.status import Status
from unrolljax.gradients.adjoint.linear import DENSE_SIZE, LinearSolve

SAFETY = 1.5
"""By how much an estimated error is raised before it is trusted."""

FIRST_SAFETY = 10.0
"""The same while the inverse is known from its effect on the right-hand side alone."""

STAGES = 8
"""Solves of one system at most; each one after the second only mends a wrong estimate."""


class ErrorReport(NamedTuple):
    """A `LinearReport`, with the estimated relative error of u and the products with A."""

    status: Int[Array, ""]
    residual: Float[Array, ""]
    steps: Int[Array, ""]
    error: Float[Array, ""]
    products: Int[Array, ""]


class _Stage(NamedTuple):
    """A solution, its residual, the gain of the inverse seen so far, and the report."""

    u: Array
    residual: Array
    gain: Array
    report: ErrorReport
    number: Array


class RefinedSolve(LinearSolve):
    """`A u = b` with an estimated error `|u - A^{-1} b| <= tol |u|`.

    Iterative refinement: each stage solves `A d = r` for the residual r of u, and shows by
    `|d| / |r|` how much the inverse amplifies what is left. The error is estimated as
    `gain |r| / |u|` with the largest gain seen, and at least `1 / (1 - rate)` in units of
    `|b| / |A b|`, which guards against directions that b hardly holds. The first stage asks for a
    residual of `tol`, the next ones for what the estimate allows.

    - `rate`: contraction rate of the iteration that found the solution; 1 or more sets no bound.

    The report's status is CONVERGED where the estimated error is at most `tol`. A start (`guess`)
    is not used.
    """

    rate: float | Array = 0.0

    def _in_turn(self, matvec, b, structure, preconditioner, guess):
        del guess
        size, tol = trees.norm(b), self._tolerance(b.dtype)

        def unfinished(stage):
            useful = (stage.number == 0) | (stage.report.status == Status.RUNNING)
            return useful & (stage.number < STAGES)

        def refine(stage):
            left = trees.norm(stage.residual)
            allowed = tol * trees.norm(stage.u) / (SAFETY * stage.gain * left)
            goal = jnp.where(stage.number == 0, tol, jnp.minimum(allowed, 0.5))
            goal = jnp.maximum(goal, 10 * jnp.finfo(b.dtype).eps)
            inner = LinearSolve(self.methods, goal, self.max_steps)
            d, report = inner._in_turn(matvec, stage.residual, structure, preconditioner, None)
            u = stage.u + d
            r = b - matvec(u)
            gain = jnp.maximum(stage.gain, trees.norm(d) / left)
            safety = jnp.where(stage.number == 0, FIRST_SAFETY, SAFETY)
            error = safety * gain * trees.norm(r) / trees.norm(u)
            return _Stage(
                u, r, gain, self._judged(stage, report, r, error, b, structure), stage.number + 1
            )

        zero, none = jnp.zeros((), b.dtype), jnp.zeros((), jnp.int32)
        idle = jnp.where(size == 0, Status.CONVERGED, Status.RUNNING).astype(jnp.int32)
        start = ErrorReport(idle, zero, none, zero, jnp.ones((), jnp.int32))
        first = _Stage(jnp.zeros_like(b), b, self._floor(matvec, b), start, none)
        end = jax.lax.while_loop(lambda s: unfinished(s) & (size != 0), refine, first)
        unsolved = end.report.status == Status.RUNNING
        status = jnp.where(unsolved, Status.ADJOINT_MAX_STEPS, end.report.status)
        return end.u, end.report._replace(status=status.astype(jnp.int32))

    def _floor(self, matvec, b: Array) -> Array:
        """The gain that the rate implies, in the units of the inverse of A."""
        rate = jnp.asarray(self.rate).astype(b.dtype)
        image = trees.norm(matvec(b))
        unit = trees.norm(b) / jnp.where(image > 0, image, 1)
        return unit / jnp.where(rate < 1, 1 - rate, 1)

    def _judged(self, stage, inner, r, error, b, structure) -> ErrorReport:
        """The report after a further stage; RUNNING where another may help."""
        tol = self._tolerance(b.dtype)
        failed = jnp.where(inner.status == Status.CONVERGED, Status.RUNNING, inner.status)
        status = jnp.where(error <= tol, Status.CONVERGED, failed).astype(jnp.int32)
        residual = trees.norm(r) / trees.norm(b)
        products = products_of(inner.steps, b.size, structure) + 1
        old = stage.report
        return ErrorReport(
            status, residual, old.steps + inner.steps, error, old.products + products
        )


def products_of(steps: Any, size: int, structure: Structure) -> Any:
    """Products with A that the automatic choice of method takes for so many iterations.

    LU takes one for each column; BiCGStab and the normal equations two an iteration, conjugate
    gradients one; one more measures the residual.
    """
    if size <= DENSE_SIZE:
        return size + 1
    return (steps if structure.positive_definite else 2 * steps) + 1
