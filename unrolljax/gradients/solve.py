"""The front door: `solve`."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.tree_util import tree_flatten_with_path, tree_leaves, tree_map, tree_structure
from jaxtyping import Array, PyTree

from unrolljax.core import trees
from unrolljax.core.closure import hoist
from unrolljax.core.solution import Solution
from unrolljax.core.solver import Problem, Solver
from unrolljax.core.stop import Stop, check_tolerance
from unrolljax.gradients.implicit import Implicit
from unrolljax.gradients.mode import GradientMode


def solve(
    solver: Solver,
    problem: Problem,
    x0: PyTree[Array],
    *,
    gradient: GradientMode | None = None,
    stop: Stop | None = None,
) -> Solution:
    """Solve `problem` from `x0`; `gradient` alone decides how the solution is differentiated.

    - `problem`: any pytree; all its inexact array leaves (Python floats too) may be differentiated.
    - `x0`: any pytree of inexact arrays; the solution has its structure, shapes and dtypes.
    - `gradient`: the gradient mode, `Implicit()` by default.
    - `stop`: when to stop, `Stop()` by default.

    Works under jit, vmap, grad, scan. Outside jit it compiles once per structure and shape; new
    numbers compile nothing. Raises TypeError or ValueError, before compiling, for inputs that
    cannot work; everything that depends on values becomes a status.
    """
    gradient = Implicit() if gradient is None else gradient
    stop = Stop() if stop is None else stop
    _check_types(solver, gradient, stop)
    x0 = tree_map(_as_unknown, x0)
    _check_unknown(x0)
    dtype = min((leaf.dtype for leaf in tree_leaves(x0)), key=lambda d: jnp.finfo(d).bits)
    check_tolerance(_concrete(stop.tol), dtype, "Stop(tol)")
    gradient.check(solver, stop, dtype)
    solver, problem, gradient, stop = trees.arrays((solver, problem, gradient, stop))
    solver = hoist(solver, problem, x0)
    return _compiled(gradient, solver, problem, x0, stop)


@eqx.filter_jit
def _compiled(gradient, solver, problem, x0, stop):
    _check_solver(solver, problem, x0)
    return gradient.solve(solver, problem, x0, stop)


def _as_unknown(leaf: Any) -> Array:
    """An array of the leaf's own dtype (never weakly typed, so that loops keep their types)."""
    array = jnp.asarray(leaf)
    return jnp.asarray(array, dtype=array.dtype)


def _concrete(tol: Any) -> Any:
    """The number behind a tolerance, or None where it is traced."""
    if isinstance(tol, Tracer) or np.ndim(tol):
        return None
    return None if tol is None else float(tol)


def _check_types(solver: Any, gradient: Any, stop: Any) -> None:
    for value, kind, name in (
        (solver, Solver, "solver"),
        (gradient, GradientMode, "gradient"),
        (stop, Stop, "stop"),
    ):
        if not isinstance(value, kind):
            hint = " (an instance, not the class)" if isinstance(value, type) else ""
            raise TypeError(
                f"{name} must be a {kind.__name__}{hint}, not {type(value).__name__}: "
                f"solve(solver, problem, x0, gradient=..., stop=...)."
            )


def _check_unknown(x0: PyTree[Array]) -> None:
    leaves, _ = tree_flatten_with_path(x0)
    if not leaves:
        raise ValueError("x0 holds no arrays; give it the structure of the unknown.")
    for path, leaf in leaves:
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            place = jax.tree_util.keystr(path) or "x0"
            raise TypeError(
                f"The unknown must be float or complex, but {place} has dtype {leaf.dtype}. "
                "Convert it, e.g. x0.astype(float)."
            )


def _check_solver(solver: Solver, problem: Problem, x0: PyTree[Array]) -> None:
    """Raise, while tracing, where a solver's functions do not fit together."""

    def shapes(function, *args):
        return eqx.filter_eval_shape(function, *args)

    state = shapes(solver.init, problem, x0)
    after = shapes(solver.step, problem, state)
    _check_alike(state, after, "step(problem, state) must return a state like init's")
    _check_alike(x0, shapes(solver.read, state), "read(state) must return an unknown like x0")
    _check_alike(
        x0, shapes(solver.optimality, problem, x0), "optimality must return a residual like x0"
    )


def _check_alike(expected: PyTree, found: PyTree, rule: str) -> None:
    if tree_structure(expected) != tree_structure(found):
        raise ValueError(
            f"{rule}, but the structures differ: expected {tree_structure(expected)}, got "
            f"{tree_structure(found)}."
        )
    places = tree_flatten_with_path(expected)[0]
    for (path, a), b in zip(places, tree_leaves(found), strict=True):
        if hasattr(a, "shape") and (a.shape, a.dtype) != (b.shape, b.dtype):
            where = jax.tree_util.keystr(path) or "the array"
            raise ValueError(
                f"{rule}, but {where} is {b.dtype}{list(b.shape)} instead of "
                f"{a.dtype}{list(a.shape)}. Check the shapes and dtypes of x0 and of the problem."
            )
