"""Implicit derivatives for people who bring their own solver.

The names and meanings are those that users of jaxopt know (`custom_root`, `custom_fixed_point`,
`root_vjp`, `root_jvp`), over the linear solves of this package.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal

import equinox as eqx
import jax.numpy as jnp
from jax.tree_util import tree_map
from jaxtyping import Array, PyTree

from unrolljax.core import trees
from unrolljax.core.closure import hoist_function
from unrolljax.core.refuse import refuse_derivative
from unrolljax.core.solver import Structure
from unrolljax.gradients.adjoint.linear import LinearSolve
from unrolljax.gradients.adjoint.theorem import Condition, attach, pull_back, push_forward

Function = Callable[..., Any]


def implicit_root(
    condition: Function,
    *,
    has_aux: bool = False,
    argnums: Sequence[int] | None = None,
    structure: Structure = Structure(),  # noqa: B008 (an immutable tuple)
    linear: LinearSolve = LinearSolve(),  # noqa: B008 (immutable)
    tol: float | Array | None = None,
    ad: Literal["reverse", "both"] = "reverse",
) -> Callable[[Function], Function]:
    """Decorate `solver(x0, *args, **kwargs) -> x` with the derivative of `condition = 0`.

    - `condition(x, *args, **kwargs)` is zero at a solution and has the structure of x.
    - `has_aux`: the solver returns `(x, aux)`; aux is passed on, and differentiating it gives NaN.
    - `argnums`: positions in args that are differentiated (0 is the first after x0); None for all
      of args and kwargs. The others, and x0, are constants.
    - `structure`, `linear`: of and for the linear system.
    - `tol`: derivatives are NaN where `|condition| > tol * (1 + |x|)` at what the solver returned,
      or where the linear solve fails; None only asks for a finite condition.
    - `ad`: "reverse", or "both" for forward mode too.
    """

    def decorate(solver: Function) -> Function:
        @functools.wraps(solver)
        def solved(x0, *args, **kwargs):
            theta = trees.arrays((args, kwargs))
            if argnums is not None:
                theta = _only(theta, argnums)
            still = trees.stop_gradient((x0, theta))
            result = trees.stop_gradient(solver(still[0], *still[1][0], **still[1][1]))
            x, aux = trees.arrays(result if has_aux else (result, None))
            # Arrays that the condition closes over become leaves of theta, so none loses its share.
            theta = (*theta, hoist_function(_ByPosition(condition), x, *theta))
            rule = Condition(_residual, structure, linear=trees.arrays(linear))
            x, aux = _attach(rule, theta, x, aux, trees.arrays(tol), ad)
            return (x, aux) if has_aux else x

        return solved

    return decorate


def implicit_fixed_point(map: Function, **options: Any) -> Callable[[Function], Function]:
    """Decorate `solver(x0, *args, **kwargs) -> x` with the derivative of `x = map(x, *args)`.

    Options are those of `implicit_root`.
    """

    def condition(x, *args, **kwargs):
        return trees.subtract(x, map(x, *args, **kwargs))

    return implicit_root(condition, **options)


@eqx.filter_jit
def root_vjp(
    condition: Function,
    x: PyTree[Array],
    args: tuple,
    cotangent: PyTree[Array],
    *,
    structure: Structure = Structure(),  # noqa: B008
    linear: LinearSolve = LinearSolve(),  # noqa: B008
) -> tuple:
    """Cotangents of `args` for a cotangent of the root x of `condition(x, *args) = 0`.

    A tuple like args, None where a leaf is no inexact array. NaN where the linear solve failed.
    """
    rule = Condition(lambda theta, x: condition(x, *theta), structure, linear=trees.arrays(linear))
    bars, _, report = pull_back(rule, trees.arrays(args), x, cotangent)
    return tree_map(lambda v: jnp.where(report.status == 0, v, jnp.full_like(v, jnp.nan)), bars)


@eqx.filter_jit
def root_jvp(
    condition: Function,
    x: PyTree[Array],
    args: tuple,
    tangents: tuple,
    *,
    structure: Structure = Structure(),  # noqa: B008
    linear: LinearSolve = LinearSolve(),  # noqa: B008
) -> PyTree[Array]:
    """Tangent of the root x of `condition(x, *args) = 0` for tangents of `args`.

    NaN where the linear solve failed.
    """
    rule = Condition(lambda theta, x: condition(x, *theta), structure, linear=trees.arrays(linear))
    tangent, report = push_forward(rule, trees.arrays(args), x, tangents)
    return tree_map(lambda v: jnp.where(report.status == 0, v, jnp.full_like(v, jnp.nan)), tangent)


class _ByPosition(eqx.Module):
    """A condition as a function of the unknown, a tuple and a dict."""

    condition: Function

    def __call__(self, x, args, kwargs):
        return self.condition(x, *args, **kwargs)


def _residual(theta, x):
    args, kwargs, condition = theta
    return condition(x, args, kwargs)


@eqx.filter_jit
def _attach(rule: Condition, theta: Any, x: PyTree[Array], aux: Any, tol: Any, ad: str) -> tuple:
    good = _holds(_residual(trees.stop_gradient(theta), x), x, tol)
    return attach(rule, theta, x, good, ad, nan=True), refuse_derivative(aux, theta)


def _only(theta: tuple[tuple, dict], argnums: Sequence[int]) -> tuple[tuple, dict]:
    args, kwargs = theta
    unknown = [n for n in argnums if not 0 <= n < len(args)]
    if unknown:
        raise ValueError(
            f"argnums={tuple(argnums)} names positions outside the {len(args)} arguments after x0."
        )
    kept = tuple(a if n in argnums else trees.stop_gradient(a) for n, a in enumerate(args))
    return kept, trees.stop_gradient(kwargs)


def _holds(residual: PyTree[Array], x: PyTree[Array], tol: float | Array | None) -> Array:
    size = trees.norm(residual)
    finite = trees.all_finite(residual)
    return finite if tol is None else finite & (size <= tol * (1 + trees.norm(x)))
