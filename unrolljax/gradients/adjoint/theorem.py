"""The implicit function theorem as a derivative rule.

At a solution x of `F(theta, x) = 0`, `dx = -A^{-1} dF/dtheta dtheta` with `A = dF/dx`. In reverse,
the cotangent w of x is pulled back by one adjoint solve: `A^T u = w`, then
`theta_bar = -(dF/dtheta)^T u` (Griewank & Walther 2008, ch. 15; Blondel et al. 2022). Everything
is done in real coordinates, so that complex unknowns need no holomorphy.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import tree_map
from jaxtyping import Array, Bool, PyTree

from unrolljax.core import trees
from unrolljax.core.solver import Structure
from unrolljax.core.status import Status
from unrolljax.gradients.adjoint.active import Active, every_coordinate, gathered, masked
from unrolljax.gradients.adjoint.linear import LinearReport, LinearSolve

Theta = Any
Unknown = PyTree[Array]


class Condition(eqx.Module):
    """A condition `residual(theta, x) = 0` and how its derivative system is to be solved.

    - `residual`: from parameters (any pytree) and unknown to a pytree like the unknown.
    - `structure`: what is declared of `dF/dx`.
    - `support`: `(theta, x) -> mask or None`, the coordinates in which the condition holds; with a
      mask, the condition restricted to it is the gradient of a function at a strict minimum.
    - `preconditioner`: `(theta, x) -> function` approximating the inverse of `dF/dx`.
    - `capacity`: room for a gathered support; None masks instead.
    - `linear`: the linear solver.
    - `guess`: where the adjoint iteration starts.
    """

    residual: Callable[[Theta, Unknown], Unknown]
    structure: Structure = eqx.field(default=Structure(), static=True)
    support: Callable[[Theta, Unknown], Any] | None = None
    preconditioner: Callable[[Theta, Unknown], Callable] | None = None
    capacity: int | None = eqx.field(default=None, static=True)
    linear: LinearSolve = LinearSolve()
    guess: Unknown | None = None

    def in_real(self, theta: Theta, pairs: Unknown, like: Unknown) -> Unknown:
        """The residual as a function of real coordinates."""
        return trees.real_pair(self.residual(theta, trees.from_real_pair(pairs, like)))

    def active(self, theta: Theta, x: Unknown) -> tuple[Active, Structure]:
        """The coordinates in which the system is solved, and its structure in them."""
        mask = None if self.support is None else self.support(theta, x)
        if mask is None:
            return every_coordinate(), self.structure
        mask = tree_map(lambda m, v: (m, m) if jnp.iscomplexobj(v) else m, mask, x)
        on_support = Structure(symmetric=True, positive_definite=True)
        if self.capacity is None:
            return masked(mask), on_support
        return gathered(mask, trees.real_pair(x), self.capacity), on_support

    def declares_support(self, theta: Theta, x: Unknown) -> bool:
        """Whether the condition holds on a support only."""
        return self.support is not None and self.support(theta, x) is not None

    def restrict(self, pairs: Unknown, theta: Theta, x: Unknown) -> Unknown:
        """A vector in real coordinates with zeros where the condition does not hold."""
        active, _ = self.active(theta, x)
        return active.up(active.down(pairs))

    def solve(self, matvec, b, theta, x) -> tuple[Unknown, LinearReport]:
        """Solve with a product in real coordinates, restricted to the active ones."""
        active, structure = self.active(theta, x)
        precondition = None
        if self.preconditioner is not None:
            apply = self.preconditioner(theta, x)
            precondition = active.square(
                lambda v: trees.real_pair(apply(trees.from_real_pair(v, x)))
            )
        guess = None if self.guess is None else active.down(trees.real_pair(self.guess))
        u, report = self.linear(
            active.square(matvec), active.down(b), structure, precondition, guess
        )
        status = jnp.where(active.fits, report.status, Status.CAPACITY_EXCEEDED)
        return active.up(u), report._replace(status=status.astype(jnp.int32))


def pull_back(
    condition: Condition, theta: Theta, x: Unknown, cotangent: Unknown
) -> tuple[Theta, Unknown, LinearReport]:
    """Cotangent of theta for a cotangent of x, the adjoint `u`, and the report of its solve.

    The cotangent has the structure of `theta` with None where a leaf is no inexact array.
    """
    pairs = trees.real_pair(x)
    numbers, rest = eqx.partition(theta, eqx.is_inexact_array)
    _, pull_pairs = jax.vjp(lambda p: trees.from_real_pair(p, x), pairs)
    _, pull_x = jax.vjp(lambda p: condition.in_real(theta, p, x), pairs)
    u, report = condition.solve(lambda v: pull_x(v)[0], pull_pairs(cotangent)[0], theta, x)
    _, pull_theta = jax.vjp(lambda n: condition.in_real(eqx.combine(n, rest), pairs, x), numbers)
    return pull_theta(tree_map(jnp.negative, u))[0], trees.from_real_pair(u, x), report


def push_forward(
    condition: Condition, theta: Theta, x: Unknown, direction: Theta, factor: Array | float = 1.0
) -> tuple[Unknown, LinearReport]:
    """Tangent of x for a tangent of the inexact leaves of theta; linear, so JAX can transpose it.

    `factor` scales the tangent on both sides of the solve: a NaN poisons either direction.
    """
    pairs = trees.real_pair(x)
    numbers, rest = eqx.partition(theta, eqx.is_inexact_array)
    _, push_x = jax.linearize(lambda p: condition.in_real(theta, p, x), pairs)
    _, push_theta = jax.linearize(
        lambda n: condition.in_real(eqx.combine(n, rest), pairs, x), numbers
    )
    rhs = trees.scale(-jnp.asarray(factor), push_theta(direction))
    u, report = condition.solve(push_x, rhs, theta, x)
    return trees.from_real_pair(trees.scale(factor, u), x), report


def attach(
    condition: Condition, theta: Theta, x: Unknown, converged: Bool[Array, ""], ad: str, nan: bool
) -> Unknown:
    """`x`, with the derivative in `theta` that the theorem gives.

    `ad="reverse"` is a `custom_vjp`, `ad="both"` a `custom_jvp` around a transposable solve. With
    `nan`, the derivative is NaN where `converged` is False or the adjoint solve failed.
    """
    numbers, rest = eqx.partition(theta, eqx.is_inexact_array)
    # Integer arrays may be tracers: they travel as arguments; functions and such stay behind.
    integers, static = eqx.partition(rest, eqx.is_array)
    rule = _reverse_rule if ad == "reverse" else _both_rule
    return rule(condition, static, nan)(numbers, integers, x, converged)


def _reverse_rule(condition: Condition, static: Any, nan: bool):
    extras, structure = eqx.partition(condition, eqx.is_array)

    @jax.custom_vjp
    def value(numbers, integers, x, converged, extras):
        del numbers, integers, converged, extras
        return x

    def forward(numbers, integers, x, converged, extras):
        # Recursing gives the residual x its own derivative: second derivatives are right.
        x = value(numbers, integers, x, converged, extras)
        return x, (numbers, integers, x, converged, extras)

    def backward(saved, cotangent):
        numbers, integers, x, converged, extras = saved
        theta = eqx.combine(numbers, integers, static)
        full = eqx.combine(extras, structure)
        bar, _, report = pull_back(full, theta, x, cotangent)
        if nan:
            good = converged & (report.status == Status.CONVERGED)
            bar = tree_map(lambda v: jnp.where(good, v, jnp.full_like(v, jnp.nan)), bar)
        return bar, *map(no_cotangent, (integers, x, converged, extras))

    value.defvjp(forward, backward)
    return lambda *args: value(*args, extras)


def _both_rule(condition: Condition, static: Any, nan: bool):
    extras, structure = eqx.partition(condition, eqx.is_array)

    @jax.custom_jvp
    def value(numbers, integers, x, converged, extras):
        del numbers, integers, converged, extras
        return x

    @value.defjvp
    def _(primals, tangents):
        numbers, integers, x, converged, extras = primals
        x = value(*primals)
        theta = eqx.combine(numbers, integers, static)
        factor = jnp.where(converged, 1.0, jnp.nan) if nan else 1.0
        full = eqx.combine(extras, structure)
        if nan:
            full = dataclasses.replace(full, linear=_poisoning(full.linear))
        tangent, _ = push_forward(full, theta, x, tangents[0], factor)
        return x, tangent

    return lambda *args: value(*args, extras)


class _Poisoning(LinearSolve):
    """A linear solve whose solution is NaN where it failed: the only sign that a transpose sees."""

    def _in_turn(self, matvec, b, structure, preconditioner, guess):
        u, report = super()._in_turn(matvec, b, structure, preconditioner, guess)
        good = report.status == Status.CONVERGED
        return tree_map(lambda v: jnp.where(good, v, jnp.full_like(v, jnp.nan)), u), report


def _poisoning(linear: LinearSolve) -> LinearSolve:
    return _Poisoning(linear.methods, linear.tol, linear.max_steps, linear.fallback)


def no_cotangent(tree: PyTree) -> PyTree:
    """Zero cotangents of arrays: of their own dtype where inexact, else of float0."""

    def zero(v):
        inexact = eqx.is_inexact_array(v)
        return jnp.zeros_like(v) if inexact else np.zeros(jnp.shape(v), jax.dtypes.float0)

    return tree_map(zero, tree)
