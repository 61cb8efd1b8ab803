"""Steps of a solver from rest: towards the solution where Newton's method cannot go yet."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PyTree

from unrolljax.core import trees
from unrolljax.core.solver import Problem, Solver


def step_on(
    solver: Solver,
    problem: Problem,
    x: PyTree[Array],
    steps: Int[Array, ""],
    extrapolated: Bool[Array, ""],
) -> PyTree[Array]:
    """Where `steps` steps of the solver lead, each from rest; no steps lead to x itself.

    With `extrapolated`, Nesterov's extrapolation is put between them, restarted whenever a step is
    longer than the one before (O'Donoghue & Candes 2015, for fixed-point maps): proximal gradient
    steps become FISTA. It may lead astray where a map is no gradient step (ADMM): where the last
    step is longer than the first, x itself is returned.
    """

    def step(x):
        return solver.read(solver.step(problem, solver.init(problem, x)))

    def advance(carry):
        x, at, inertia, length, first, k = carry
        new = step(at)
        new_length = trees.norm(trees.subtract(new, at))
        restart = (new_length > length) | ~extrapolated
        inertia = jnp.where(restart, 1, inertia)
        following = (1 + jnp.sqrt(1 + 4 * inertia**2)) / 2
        weight = jnp.where(restart, 0, (inertia - 1) / following)
        at = trees.add_scaled(new, weight, trees.subtract(new, x))
        return new, at, following, new_length, jnp.where(k == 0, new_length, first), k + 1

    one = jnp.ones_like(trees.norm(x))
    start = (x, x, one, one * jnp.inf, one * jnp.inf, jnp.zeros((), jnp.int32))
    end = jax.lax.while_loop(lambda carry: carry[5] < steps, advance, start)
    return trees.where((end[3] <= end[4]) | ~extrapolated, end[0], x)
