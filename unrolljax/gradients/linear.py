"""The adjoint linear system: lineax solvers, tried in turn, with the outcome as data."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jax.tree_util import tree_leaves, tree_map
from jaxtyping import Array, Float, Int, PyTree

from unrolljax.core import trees
from unrolljax.core.solver import Structure
from unrolljax.core.status import Status

DENSE_SIZE = 64
"""Up to this many unknowns an LU decomposition beats every iteration."""

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
      size: LU up to 64 unknowns, CG where A is declared positive definite, else BiCGStab; then,
      on breakdown, GMRES (not after CG) and CG on the normal equations.
    - `tol`: relative residual to reach; None is `eps ** 0.6` (4e-10 in float64, 7e-5 in float32).
    - `max_steps`: static; iterations of each method at most.
    """

    methods: tuple[str, ...] = eqx.field(default=(), static=True)
    tol: float | Array | None = None
    max_steps: int = eqx.field(default=1000, static=True)

    def __call__(
        self,
        matvec: Linear,
        b: Vector,
        structure: Structure,
        preconditioner: Linear | None = None,
        guess: Vector | None = None,
    ) -> tuple[Vector, LinearReport]:
        """`u` with `A u = b` and the report; differentiable in b and in what A closes over."""

        def solve(product, rhs):
            return self._in_turn(product, rhs, structure, preconditioner, guess)

        return jax.lax.custom_linear_solve(
            matvec, b, solve, solve, symmetric=structure.symmetric, has_aux=True
        )

    def _in_turn(self, matvec, b, structure, preconditioner, guess):
        size = trees.norm(b)
        unit = tree_map(lambda v: v / jnp.where(size > 0, size, 1), b)
        if guess is not None:
            guess = tree_map(lambda v: v / jnp.where(size > 0, size, 1), guess)
        tol = self._tolerance(unit)
        chain = self.methods or _chain(unit, structure)

        def attempt(method, start):
            u, steps = _solve_by(method, matvec, unit, tol, self.max_steps, preconditioner, start)
            return u, trees.norm(trees.subtract(unit, matvec(u))), steps

        best = attempt(chain[0], guess)
        for method in chain[1:]:
            best = _unless_solved(best, tol, lambda _, method=method: attempt(method, None))
        u, residual, steps = best
        residual = jnp.where(size > 0, residual, 0)
        u = tree_map(lambda v: jnp.where(size > 0, v * size, jnp.zeros_like(v)), u)
        return u, LinearReport(_judge(residual, tol, steps, self.max_steps), residual, steps)

    def _tolerance(self, b: Vector) -> Array:
        dtype = jnp.result_type(*tree_leaves(b))
        tol = jnp.finfo(dtype).eps ** 0.6 if self.tol is None else self.tol
        return jnp.asarray(tol).astype(dtype)


def _chain(b: Vector, structure: Structure) -> tuple[str, ...]:
    if size_of(b) <= DENSE_SIZE:
        return ("dense",)
    if structure.positive_definite:
        return ("cg", "normal_cg")
    return ("bicgstab", "gmres", "normal_cg")


def _unless_solved(best, tol, attempt):
    """`best` where it is solved, else a further attempt; costs nothing where all are solved.

    A while loop, not a cond: vmapped, its body still runs only if some element needs it.
    """

    def needed(carry):
        (_, residual, _), tried = carry
        return ~(residual <= tol) & ~tried

    def try_once(carry):
        (old, old_residual, old_steps), _ = carry
        new, residual, steps = attempt(None)
        worse = ~(residual <= old_residual) & jnp.isfinite(old_residual)
        kept = trees.where(worse, (old, old_residual), (new, residual))
        return (*kept, old_steps + steps), jnp.ones((), bool)

    return jax.lax.while_loop(needed, try_once, (best, jnp.zeros((), bool)))[0]


def _judge(residual: Array, tol: Array, steps: Array, max_steps: int) -> Int[Array, ""]:
    unsolved = jnp.where(
        jnp.isfinite(residual) & (steps >= max_steps),
        Status.ADJOINT_MAX_STEPS,
        Status.ADJOINT_BREAKDOWN,
    )
    return jnp.where(residual <= tol, Status.CONVERGED, unsolved).astype(jnp.int32)


def _solve_by(method, matvec, b, tol, max_steps, preconditioner, guess):
    """One lineax solve of `A u = b` with `|b| = 1`; returns u and the number of iterations."""
    if method == "normal_cg":
        transpose = _transpose(matvec, b)
        b, forward = transpose(b), matvec
        matvec = lambda v: transpose(forward(v))  # noqa: E731
        preconditioner = None
    tags = lx.positive_semidefinite_tag if method in ("cg", "normal_cg") else ()
    shapes = jax.eval_shape(lambda: b)
    operator = lx.FunctionLinearOperator(matvec, shapes, tags)
    options: dict[str, Any] = {}
    if method != "dense" and preconditioner is not None:
        tag = lx.positive_semidefinite_tag
        options["preconditioner"] = lx.FunctionLinearOperator(preconditioner, shapes, tag)
    if method != "dense" and guess is not None:
        options["y0"] = guess
    solver = _lineax_solver(method, tol / 2, max_steps)
    solution = lx.linear_solve(operator, b, solver, options=options, throw=False)
    return solution.value, jnp.asarray(solution.stats.get("num_steps", 0), jnp.int32)


def _lineax_solver(method: str, tol: Array, max_steps: int) -> lx.AbstractLinearSolver:
    limits = {"rtol": tol, "atol": tol, "norm": trees.norm, "max_steps": max_steps}
    if method == "dense":
        return lx.LU()
    if method == "bicgstab":
        return lx.BiCGStab(**limits)
    if method == "gmres":
        return lx.GMRES(**limits)
    return lx.CG(**limits, stabilise_every=None)


def _transpose(matvec: Linear, like: Vector) -> Linear:
    transposed = jax.linear_transpose(matvec, like)
    return lambda v: transposed(v)[0]


def size_of(tree: Vector) -> int:
    """How many numbers a pytree of arrays holds."""
    return sum(leaf.size for leaf in tree_leaves(tree))


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
