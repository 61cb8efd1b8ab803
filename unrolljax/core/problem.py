"""What the solvers ask of a problem, and problems made of plain functions.

A problem is any pytree: all its inexact arrays may be differentiated. Solvers call methods on it:

| solvers | methods of the problem |
|---|---|
| descent, Newton, L-BFGS, FIRE, optax | `objective(x)` |
| proximal gradient | `smooth(x)`, `prox(v, step)`, `penalty(x)`, `support(x)` |
| ADMM, primal-dual | `smooth(x)`, `prox_f(v, step)`, `prox_g(v, step)`, `linear(x)` |
| Gauss-Newton, root finding | `residuals(x)` |
| fixed point | none: the map is the solver's |

An `equinox.Module` with these methods is a problem; so is one of the classes below, which hold
functions of `(parameters, x)`. `prox(v, step)` is `argmin_x |x - v|^2 / 2 + step * penalty(x)`.
"""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax.tree_util import tree_leaves
from jaxtyping import Array, PyTree

Unknown = PyTree[Array]
Parameters = Any


class Objective(eqx.Module):
    """Minimise `function(parameters, x)`, a differentiable real scalar."""

    function: Callable[[Parameters, Unknown], Array]
    parameters: Parameters = None

    def objective(self, x: Unknown) -> Array:
        """The function's value at x."""
        return self.function(self.parameters, x)


class Residuals(eqx.Module):
    """Residuals `function(parameters, x)`, any pytree: a root to find or squares to minimise."""

    function: Callable[[Parameters, Unknown], PyTree[Array]]
    parameters: Parameters = None

    def residuals(self, x: Unknown) -> PyTree[Array]:
        """The residuals at x."""
        return self.function(self.parameters, x)

    def objective(self, x: Unknown) -> Array:
        """Half the sum of squared residuals."""
        squares = [jnp.sum(jnp.real(r * jnp.conj(r))) for r in tree_leaves(self.residuals(x))]
        return functools.reduce(jnp.add, squares) / 2


class Composite(eqx.Module):
    """Minimise `smooth(parameters, x) + penalty(parameters, x)`, the penalty known by its prox.

    - `prox`: `(parameters, v, step) -> x`.
    - `support`: `(parameters, x) -> mask` of the coordinates that the penalty leaves free, where
      all others are zero and the penalty is twice differentiable in the free ones (l1, group
      lasso, elastic net); None where no such set is known (box, nuclear norm).
    """

    smooth_function: Callable[[Parameters, Unknown], Array]
    prox_function: Callable[[Parameters, Unknown, Any], Unknown]
    penalty_function: Callable[[Parameters, Unknown], Array]
    parameters: Parameters = None
    support_function: Callable[[Parameters, Unknown], PyTree[Array]] | None = None

    def smooth(self, x: Unknown) -> Array:
        """The differentiable part at x."""
        return self.smooth_function(self.parameters, x)

    def prox(self, v: Unknown, step: Any) -> Unknown:
        """The proximal operator of `step * penalty` at v."""
        return self.prox_function(self.parameters, v, step)

    def penalty(self, x: Unknown) -> Array:
        """The penalty at x."""
        return self.penalty_function(self.parameters, x)

    def support(self, x: Unknown) -> PyTree[Array] | None:
        """The free coordinates at x, or None where none are declared."""
        return None if self.support_function is None else self.support_function(self.parameters, x)

    def objective(self, x: Unknown) -> Array:
        """Smooth part plus penalty."""
        return self.smooth(x) + self.penalty(x)


class Saddle(eqx.Module):
    """Minimise `smooth(x) + f(x) + g(linear(x))`, f and g known by their proximal operators.

    Every function takes `(parameters, ...)`. `linear` maps an unknown to any pytree; its adjoint
    is found by transposition. Functions that are None are absent: smooth and f are zero. ADMM
    also needs `argmin`: `(parameters, target, penalty) -> x`, the minimiser of
    `smooth(x) + f(x) + penalty/2 |linear(x) - target|^2`.
    """

    linear_function: Callable[[Parameters, Unknown], PyTree[Array]]
    prox_g_function: Callable[[Parameters, PyTree[Array], Any], PyTree[Array]]
    parameters: Parameters = None
    smooth_function: Callable[[Parameters, Unknown], Array] | None = None
    prox_f_function: Callable[[Parameters, Unknown, Any], Unknown] | None = None
    argmin_function: Callable[[Parameters, PyTree[Array], Any], Unknown] | None = None

    def linear(self, x: Unknown) -> PyTree[Array]:
        """The linear operator applied to x."""
        return self.linear_function(self.parameters, x)

    def prox_g(self, v: PyTree[Array], step: Any) -> PyTree[Array]:
        """The proximal operator of `step * g` at v."""
        return self.prox_g_function(self.parameters, v, step)

    def smooth(self, x: Unknown) -> Array:
        """The differentiable part at x."""
        if self.smooth_function is None:
            return jnp.zeros((), jnp.finfo(tree_leaves(x)[0].dtype).dtype)
        return self.smooth_function(self.parameters, x)

    def prox_f(self, v: Unknown, step: Any) -> Unknown:
        """The proximal operator of `step * f` at v."""
        return v if self.prox_f_function is None else self.prox_f_function(self.parameters, v, step)

    def argmin(self, target: PyTree[Array], penalty: Any) -> Unknown:
        """The minimiser of `smooth(x) + f(x) + penalty/2 |linear(x) - target|^2`."""
        if self.argmin_function is None:
            raise ValueError(
                "ADMM needs Saddle(argmin_function=...), the minimiser of smooth + f + "
                "penalty/2 |linear(x) - target|^2; without one use the PrimalDual solver."
            )
        return self.argmin_function(self.parameters, target, penalty)
