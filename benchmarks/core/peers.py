"""The same inner problems, as users of jaxopt and optimistix write them.

Every function returns `name -> (mode that the row is compared in, a function that makes the
solve)`; the makers import their library, so that an absent one is a skipped row. Tolerances are
out of reach, so that every row takes all its steps.
"""

import importlib
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import jax
import lineax as lx

from benchmarks.core.hand import Solve

Peers = Mapping[str, tuple[str, Callable[[], Solve]]]

UNREACHABLE = 1e-30
"""A tolerance that no step meets (optimistix divides by it: zero would give NaN)."""


def minimisers(objective: Callable, step_size: float, x0: Any, steps: int) -> Peers:
    """Gradient descent on `objective(x, parameters, data)`; the adjoint system is definite."""

    def jaxopt(adjoint=None, implicit=True):
        library = _jaxopt()
        return _jaxopt_solve(
            library.GradientDescent(
                objective,
                stepsize=step_size,
                acceleration=False,
                **_jaxopt_options(steps, implicit, adjoint),
            ),
            x0,
        )

    def optimistix(adjoint):
        library = importlib.import_module("optimistix")
        solver = library.GradientDescent(step_size, rtol=UNREACHABLE, atol=UNREACHABLE)
        tags = frozenset({lx.positive_semidefinite_tag})

        def solve(parameters, data):
            function = lambda x, args: objective(x, *args)  # noqa: E731
            options = {"max_steps": steps, "throw": False, "tags": tags}
            return library.minimise(
                function, solver, x0, (parameters, data), adjoint=adjoint(library), **options
            ).value

        return solve

    return _rows(jaxopt, "solve_cg", optimistix, lx.CG)


def proximal(
    smooth: Callable, prox: Callable, step: Callable, step_size: float, x0: Any, steps: int
) -> Peers:
    """Proximal gradient; optimistix has none and iterates `step` as a fixed point."""

    def jaxopt(adjoint=None, implicit=True):
        solver = _jaxopt().ProximalGradient(
            lambda x, parameters, data: smooth((parameters, data), x),
            lambda v, parameters, scaling: prox((parameters, None), v, scaling),
            stepsize=step_size,
            acceleration=False,
            **_jaxopt_options(steps, implicit, adjoint),
        )
        return lambda parameters, data: solver.run(x0, parameters, parameters, data).params

    return _rows(jaxopt, "solve_bicgstab", _optimistix_fixed_point(step, x0, steps), lx.GMRES)


def fixed_points(step: Callable, x0: Any, steps: int) -> Peers:
    """Plain fixed-point iteration; a dense adjoint would need gigabytes and is left out."""

    def jaxopt(adjoint=None, implicit=True):
        library = _jaxopt()
        solver = library.FixedPointIteration(
            lambda x, parameters, data: step(parameters, data, x),
            **_jaxopt_options(steps, implicit, adjoint),
        )
        return _jaxopt_solve(solver, x0)

    found = _rows(jaxopt, "solve_bicgstab", _optimistix_fixed_point(step, x0, steps), lx.GMRES)
    return {name: row for name, row in found.items() if name != "optimistix"}


def root_finders(residuals: Callable, step: Callable, x0: Any, steps: int) -> Peers:
    """Newton's method; jaxopt has none and wraps the given step in its `custom_root`."""

    def jaxopt(adjoint="solve_normal_cg"):
        library = _jaxopt()

        def condition(x, parameters, data):
            return residuals(parameters, data, x)

        @library.implicit_diff.custom_root(condition, solve=getattr(library.linear_solve, adjoint))
        def solve(start, parameters, data):
            advance = lambda _, x: step(parameters, data, x)  # noqa: E731
            return jax.lax.fori_loop(0, steps, advance, start)

        return lambda parameters, data: solve(x0, parameters, data)

    def optimistix(adjoint):
        library = importlib.import_module("optimistix")
        solver = library.Newton(rtol=UNREACHABLE, atol=UNREACHABLE)

        def solve(parameters, data):
            function = lambda x, args: residuals(*args, x)  # noqa: E731
            options = {"max_steps": steps, "throw": False}
            return library.root_find(
                function, solver, x0, (parameters, data), adjoint=adjoint(library), **options
            ).value

        return solve

    return {
        "jaxopt": ("implicit", jaxopt),
        "jaxopt, LU": ("implicit", lambda: jaxopt("solve_lu")),
        "optimistix": ("implicit", lambda: optimistix(lambda o: o.ImplicitAdjoint())),
        "optimistix, LU": ("implicit", lambda: optimistix(lambda o: o.ImplicitAdjoint(lx.LU()))),
        "optimistix, checkpoints": (
            "unroll sqrt",
            lambda: optimistix(lambda o: o.RecursiveCheckpointAdjoint()),
        ),
    }


def _rows(jaxopt: Callable, jaxopt_adjoint: str, optimistix: Callable, method: Any) -> Peers:
    """The rows of two libraries: default and iterative adjoint, and unrolling."""

    def iterative(library):
        return library.ImplicitAdjoint(method(rtol=3.5e-5, atol=3.5e-5, max_steps=1000))

    return {
        "jaxopt": ("implicit", jaxopt),
        f"jaxopt, {jaxopt_adjoint}": ("implicit", lambda: jaxopt(jaxopt_adjoint)),
        "optimistix": ("implicit", lambda: optimistix(lambda o: o.ImplicitAdjoint())),
        f"optimistix, {method.__name__}": ("implicit", lambda: optimistix(iterative)),
        "jaxopt, unroll": ("unroll", lambda: jaxopt(implicit=False)),
        "optimistix, checkpoints": (
            "unroll sqrt",
            lambda: optimistix(lambda o: o.RecursiveCheckpointAdjoint()),
        ),
    }


def _jaxopt() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("jaxopt")


def _jaxopt_options(steps: int, implicit: bool, adjoint: str | None) -> dict[str, Any]:
    solve = None if adjoint is None else getattr(_jaxopt().linear_solve, adjoint)
    return {
        "maxiter": steps,
        "tol": 0.0,
        "implicit_diff": implicit,
        "implicit_diff_solve": solve,
    }


def _jaxopt_solve(solver: Any, x0: Any) -> Solve:
    return lambda parameters, data: solver.run(x0, parameters, data).params


def _optimistix_fixed_point(step: Callable, x0: Any, steps: int) -> Callable:
    def make(adjoint):
        library = importlib.import_module("optimistix")
        solver = library.FixedPointIteration(rtol=UNREACHABLE, atol=UNREACHABLE)

        def solve(parameters, data):
            function = lambda x, args: step(*args, x)  # noqa: E731
            options = {"max_steps": steps, "throw": False}
            return library.fixed_point(
                function, solver, x0, (parameters, data), adjoint=adjoint(library), **options
            ).value

        return solve

    return make
