"""The adjoint of a solver's steps, summed as a series at its last state.

Near a solution every step has the same Jacobian J, and the reverse sweep through the last K steps
is `sum_{k<K} (J^T)^k a` followed by one pull-back to the parameters. The series needs no tape: the
step is linearised once, at the last state.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
from jaxtyping import PyTree

Linear = Callable[[PyTree], PyTree]


class Split(NamedTuple):
    """A pytree in three: what is differentiated, other arrays, and what is no array at all."""

    numbers: PyTree
    others: PyTree
    static: PyTree

    @property
    def whole(self) -> PyTree:
        """The pytree that was split."""
        return eqx.combine(*self)


def split(tree: PyTree) -> Split:
    """Split a pytree into inexact arrays, other arrays (possibly traced) and the rest."""
    numbers, rest = eqx.partition(tree, eqx.is_inexact_array)
    return Split(numbers, *eqx.partition(rest, eqx.is_array))


class LinearStep(NamedTuple):
    """A step linearised at a state; tangents are pytrees of the inexact leaves.

    - `through_state`: tangent of the state to tangent of the next state (J);
    - `from_theta`: tangent of (solver, problem) to tangent of the next state.
    """

    through_state: Linear
    from_theta: Linear


def linearise_step(theta: Split, state: Split) -> LinearStep:
    """Linearise one step in the state and in `theta = (solver, problem)`."""

    def step(theta_numbers, state_numbers):
        solver, problem = eqx.combine(theta_numbers, theta.others, theta.static)
        whole = eqx.combine(state_numbers, state.others, state.static)
        return eqx.filter(solver.step(problem, whole), eqx.is_inexact_array)

    _, through_state = jax.linearize(lambda m: step(theta.numbers, m), state.numbers)
    _, from_theta = jax.linearize(lambda t: step(t, state.numbers), theta.numbers)
    return LinearStep(through_state, from_theta)


def transpose(linear: Linear, like: PyTree[Any]) -> Linear:
    """The transpose of a linear function whose argument looks like `like`."""
    transposed = jax.linear_transpose(linear, like)
    return lambda cotangent: transposed(cotangent)[0]
