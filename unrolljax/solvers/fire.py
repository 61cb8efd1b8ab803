"""FIRE, the fast inertial relaxation engine."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.tree_util import tree_map
from jaxtyping import Array, Float, Int, PyTree

from unrolljax.core import trees
from unrolljax.core.minimiser import Minimiser
from unrolljax.core.solver import Problem

GROWTH, CUT = 1.1, 0.5
MIXING, MIXING_DECAY = 0.25, 0.99
DELAY = 20
LONGEST, SHORTEST = 10.0, 0.02
"""Bounds of the time step, relative to the first one."""


class FIREState(NamedTuple):
    """Position, velocity, force (at the position before), and the adaptive numbers.

    - `time_step`, `mixing`: of the next step.
    - `downhill`: for how many steps the velocity has pointed downhill.
    """

    x: PyTree[Array]
    velocity: PyTree[Array]
    force: PyTree[Array]
    time_step: Float[Array, ""]
    mixing: Float[Array, ""]
    downhill: Int[Array, ""]


class FIRE(Minimiser):
    """Minimise `problem.objective(x)` by damped dynamics of unit mass (Bitzek et al. 2006).

    Semi-implicit Euler steps, the velocity mixed with the direction of the force and reset, with
    half a step back, whenever it points uphill: version 2.0 with the numbers of Guénolé et al.
    (2020, table 1).

    - `time_step`: the first; it adapts between 0.02 and 10 times this. Steps above 2 / sqrt(L) are
      unstable and get cut.

    The condition is a zero gradient; its Jacobian is the Hessian, declared positive definite. The
    loop stops on the step taken together with the force times the squared longest time step,
    since a velocity that was just reset proves nothing. Time step and mixing carry no derivative:
    it would be multiplied by force and velocity, zero at a solution.
    """

    time_step: float | Array = 0.1

    def init(self, problem: Problem, x0: PyTree[Array]) -> FIREState:
        """Start at rest."""
        del problem
        rest = tree_map(jnp.zeros_like, x0)
        time_step = jnp.asarray(self.time_step).astype(trees.norm(x0).dtype)
        mixing = jnp.full_like(time_step, MIXING)
        return FIREState(x0, rest, rest, time_step, mixing, jnp.zeros((), jnp.int32))

    def step(self, problem: Problem, state: FIREState) -> FIREState:
        """One step of the dynamics."""
        force = trees.scale(-1.0, trees.gradient(problem.objective, state.x))
        uphill = trees.real_dot(force, state.velocity) < 0
        time_step, mixing, downhill = trees.stop_gradient(self._adapt(state, uphill))
        back = trees.add_scaled(state.x, -time_step / 2, state.velocity)
        x = trees.where(uphill, back, state.x)
        velocity = trees.where(uphill, tree_map(jnp.zeros_like, x), state.velocity)
        velocity = _mix(trees.add_scaled(velocity, time_step, force), force, mixing)
        x = trees.add_scaled(x, time_step, velocity)
        return FIREState(x, velocity, force, time_step, mixing, downhill)

    def read(self, state: FIREState) -> PyTree[Array]:
        """The position."""
        return state.x

    def residual(self, problem: Problem, before: FIREState, after: FIREState) -> PyTree[Array]:
        """The step taken, and the step that the force alone would make of the longest time step."""
        del problem
        longest = LONGEST * jnp.asarray(self.time_step)
        return trees.subtract(after.x, before.x), trees.scale(longest**2, after.force)

    def _adapt(self, state: FIREState, uphill: Array) -> tuple[Array, Array, Array]:
        """Time step, mixing and count: cut on the way up, raised after some time downhill."""
        first = jnp.asarray(self.time_step).astype(state.time_step.dtype)
        downhill = jnp.where(uphill, 0, state.downhill + 1)
        steady = downhill > DELAY
        raised = jnp.minimum(state.time_step * GROWTH, LONGEST * first)
        cut = jnp.maximum(state.time_step * CUT, SHORTEST * first)
        time_step = jnp.where(steady, raised, state.time_step)
        mixing = jnp.where(steady, state.mixing * MIXING_DECAY, state.mixing)
        return (
            jnp.where(uphill, cut, time_step),
            jnp.where(uphill, jnp.full_like(mixing, MIXING), mixing),
            downhill,
        )


def _mix(velocity: PyTree[Array], force: PyTree[Array], share: Array) -> PyTree[Array]:
    """The velocity with a share of it turned into the direction of the force."""
    still = trees.stop_gradient((velocity, force))
    speed, pull = trees.norm(still[0]), trees.norm(still[1])
    turned = share * speed / jnp.where(pull > 0, pull, 1)
    return trees.add_scaled(trees.scale(1 - share, velocity), turned, force)
