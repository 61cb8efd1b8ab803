"""A solver's steps from rest, accelerated: towards the solution when Newton's method cannot go."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PyTree

from unrolljax.core import trees
from unrolljax.core.solver import Problem, Solver


def step_on(
    solver: Solver, problem: Problem, x: PyTree[Array], steps: Int[Array, ""]
) -> PyTree[Array]:
    """The point that `steps` steps of the solver lead to, each from rest, with extrapolation.

    Nesterov's, restarted whenever it points back (O'Donoghue & Candes 2015): for proximal gradient
    steps this is FISTA. No steps give x itself.
    """

    def step(x):
        return solver.read(solver.step(problem, solver.init(problem, x)))

    def advance(carry):
        x, at, inertia, k = carry
        new = step(at)
        back = trees.real_dot(trees.subtract(at, new), trees.subtract(new, x)) > 0
        inertia = jnp.where(back, 1, inertia)
        following = (1 + jnp.sqrt(1 + 4 * inertia**2)) / 2
        weight = jnp.where(back, 0, (inertia - 1) / following)
        at = trees.add_scaled(new, weight, trees.subtract(new, x))
        return new, at, following, k + 1

    start = (x, x, jnp.ones_like(trees.norm(x)), jnp.zeros((), jnp.int32))
    return jax.lax.while_loop(lambda carry: carry[3] < steps, advance, start)[0]
