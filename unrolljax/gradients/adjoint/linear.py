"""The adjoint linear system: methods tried in turn, with the outcome as data."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int, PyTree

from unrolljax.core import trees
from unrolljax.core.solver import Structure
from unrolljax.core.status import Status
from unrolljax.gradients.adjoint.krylov import bicgstab, cgls, conjugate_gradients

DENSE_SIZE = 64
"""Up to this many unknowns an LU decomposition beats every iteration."""

AIM = 0.9
"""Share of the tolerance at which iterations end: the residual that they update and the one that
is then measured differ by rounding errors, which must not make a failure of a solution."""

METHODS = ("cg", "bicgstab", "gmres", "dense", "normal_cg")

Vector = PyTree[Array]
Linear = Callable[[Vector], Vector]


class LinearReport(NamedTuple):
    """Outcome of a linear solve, per element of a batch.

    `status` is CONVERGED, ADJOINT_MAX_STEPS, ADJOINT_BREAKDOWN or CAPACITY_EXCEEDED; `residual`
    is the relative residual `|b - A u| / |b|`, measured by one more product, not by a recurrence;
    `steps` counts the iterations of all the methods that were tried.
    """

    status: Int[Array, ""]
    residual: Float[Array, ""]
    steps: Int[Array, ""]


class LinearSolve(eqx.Module):
    """How to solve the adjoint system `A u = b` (A is only ever applied to vectors).

    - `methods`: static; the methods to try in turn, of `METHODS`; () chooses by structure and
      size: LU up to 64 unknowns, CG where A is declared positive definite, else BiCGStab; on
      breakdown, CG on the normal equations. GMRES costs as much compilation as all the others
      together: ask for it by name, for example ("bicgstab", "gmres", "normal_cg").
    - `tol`: relative residual to reach; None is `eps ** 0.6` (4e-10 in float64, 7e-5 in float32).
    - `max_steps`: static; iterations of each method at most.
    - `fallback`: static; whether any method but the first is tried.
    """

    methods: tuple[str, ...] = eqx.field(default=(), static=True)
    tol: float | Array | None = None
    max_steps: int = eqx.field(default=1000, static=True)
    fallback: bool = eqx.field(default=True, static=True)

    def __call__(
        self,
        matvec: Linear,
        b: Vector,
        structure: Structure,
        preconditioner: Linear | None = None,
        guess: Vector | None = None,
    ) -> tuple[Vector, LinearReport]:
        """`u` with `A u = b` and the report; differentiable in b and in what A closes over."""
        # One flat vector: a linear solve can only be transposed if all of b depends on its input.
        flat, unravel = ravel_pytree(b)

        def on_flat(function):
            return lambda v: ravel_pytree(function(unravel(v)))[0]

        precondition = None if preconditioner is None else on_flat(preconditioner)
        start = None if guess is None else ravel_pytree(guess)[0]

        def solve(product, rhs):
            return self._in_turn(product, rhs, structure, precondition, start)

        u, report = jax.lax.custom_linear_solve(
            on_flat(matvec), flat, solve, solve, symmetric=structure.symmetric, has_aux=True
        )
        return unravel(u), report

    def _in_turn(self, matvec, b, structure, preconditioner, guess):
        size = trees.norm(b)
        divisor = jnp.where(size > 0, size, 1)
        unit, guess = b / divisor, None if guess is None else guess / divisor
        tol = self._tolerance(b.dtype)
        chain = self.methods or _chain(unit, structure)
        chain = chain if self.fallback else chain[:1]

        def attempt(method, unit, start):
            aim = AIM * tol
            u, steps = _solve_by(method, matvec, unit, aim, self.max_steps, preconditioner, start)
            residual = trees.norm(unit - matvec(u))
            residual = jnp.where(jnp.isnan(residual), jnp.inf, residual)
            return u, jnp.where(size == 0, 0, residual), steps

        best = attempt(chain[0], unit, guess)
        for method in chain[1:]:
            solved = (best[1] <= tol) | ~jnp.isfinite(size)
            best = _unless(solved, best, unit, functools.partial(attempt, method, start=None))
        u, residual, steps = best
        u = jnp.where(size == 0, 0, u * size)
        return u, LinearReport(_judge(residual, tol, steps, self.max_steps), residual, steps)

    def _tolerance(self, dtype: Any) -> Array:
        tol = jnp.finfo(dtype).eps ** 0.6 if self.tol is None else self.tol
        return jnp.asarray(tol).astype(dtype)


def _chain(b: Array, structure: Structure) -> tuple[str, ...]:
    if b.size <= DENSE_SIZE:
        return ("dense",)
    if structure.positive_definite:
        return ("cg", "normal_cg")
    return ("bicgstab", "normal_cg")


def _unless(solved: Array, best: tuple, b: Array, attempt: Callable[[Array], tuple]) -> tuple:
    """`best` where it is solved, else the better of it and a further attempt at b.

    A while loop, not a cond: vmapped, its body still runs only if some element needs it. The
    barrier ties b to the carry, or XLA would hoist the attempt out of the loop and always run it.
    """

    def try_once(carry):
        (old, old_residual, old_steps), _ = carry
        new, residual, steps = attempt(jax.lax.optimization_barrier((b, old))[0])
        better = residual < old_residual
        kept = trees.where(better, (new, residual), (old, old_residual))
        return (*kept, old_steps + steps), jnp.ones_like(carry[1])

    return jax.lax.while_loop(lambda carry: ~carry[1], try_once, (best, solved))[0]


def _judge(residual: Array, tol: Array, steps: Array, max_steps: int) -> Int[Array, ""]:
    unsolved = jnp.where(
        (residual < 1) & (steps >= max_steps),  # at 1 or more, u = 0 would have done as well
        Status.ADJOINT_MAX_STEPS,
        Status.ADJOINT_BREAKDOWN,
    )
    return jnp.where(residual <= tol, Status.CONVERGED, unsolved).astype(jnp.int32)


def _solve_by(method, matvec, b, tol, max_steps, precondition, guess):
    """One solve of `A u = b` with `|b| = 1`; returns u and the number of iterations."""
    if method == "cg":
        return conjugate_gradients(matvec, b, tol, max_steps, precondition, guess)
    if method == "bicgstab":
        return bicgstab(matvec, b, tol, max_steps, precondition, guess)
    if method == "normal_cg":
        return cgls(matvec, b, tol, max_steps)
    shape = jax.eval_shape(lambda: b)
    operator = lx.FunctionLinearOperator(matvec, shape)
    if method == "dense":
        return lx.linear_solve(operator, b, lx.LU(), throw=False).value, jnp.zeros((), jnp.int32)
    options = {} if guess is None else {"y0": guess}
    if precondition is not None:
        tag = lx.positive_semidefinite_tag
        options["preconditioner"] = lx.FunctionLinearOperator(precondition, shape, tag)
    # lineax compares each entry with atol + rtol |b|: half of tol makes the norm at most tol.
    gmres = lx.GMRES(rtol=tol / 2, atol=tol / 2, norm=trees.norm, max_steps=max_steps)
    solution = lx.linear_solve(operator, b, gmres, options=options, throw=False)
    return solution.value, jnp.asarray(solution.stats["num_steps"], jnp.int32)


def check_methods(linear_solver: str | tuple[str, ...]) -> tuple[str, ...]:
    """The chain of methods that a user's choice names; raises on an unknown name."""
    if linear_solver == "auto":
        return ()
    chain = (linear_solver,) if isinstance(linear_solver, str) else tuple(linear_solver)
    unknown = [name for name in chain if name not in METHODS]
    if unknown or not chain:
        raise ValueError(
            f"linear_solver={linear_solver!r} is unknown. Use 'auto', one of {METHODS}, or a "
            "tuple of them to be tried in turn."
        )
    return chain
