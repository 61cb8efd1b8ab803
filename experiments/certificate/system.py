"""What a system of the campaign is: an inner problem, an outer objective, solvers, constants."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float
from numpy.typing import NDArray

import unrolljax as uj

PARAMETERS = 6
"""Entries of theta in every system."""


class System(NamedTuple):
    """An inner problem of six parameters, and how it may be solved.

    - `problem_fn(theta)`, `outer(theta, x)`: modules, so that their arrays are arguments.
    - `theta`: where the gradient is taken; `x0`: where solves start.
    - `solvers`: by name.
    - `constants`: for the guaranteed bound, where they are known.
    """

    name: str
    problem_fn: Callable[[Float[Array, " p"]], Any]
    outer: Callable[[Float[Array, " p"], Any], Float[Array, ""]]
    theta: NDArray
    x0: Any
    solvers: Mapping[str, uj.Solver]
    constants: uj.Constants | None = None


class Distance(eqx.Module):
    """Half the squared distance of the solution to a target; its Hessian is the identity."""

    target: Array

    def __call__(self, theta: Array, x: Any) -> Float[Array, ""]:
        """Of the primal part, where there is a dual one."""
        del theta
        point = x.primal if isinstance(x, uj.solvers.KKT) else x
        return jnp.sum((point - jnp.asarray(self.target, point.dtype)) ** 2) / 2
