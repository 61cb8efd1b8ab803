"""HOAG and SOBA as a careful JAX user writes them: no status, no fallback, no report."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.scipy.sparse.linalg import cg
from jaxtyping import Array, Float

from benchmarks.bilevel.problems import Bilevel

Trajectory = Float[Array, "steps features"]


def hoag(
    problem: Bilevel,
    data: Any,
    steps: int,
    *,
    optimizer: Any,
    first: float,
    ratio: float,
    last: float,
) -> Trajectory:
    """Pedregosa 2016: warm-started L-BFGS and conjugate gradients to falling tolerances."""
    lbfgs = optax.lbfgs(memory_size=10)

    def solve(theta, x, tol):
        def function(x):
            return problem.inner(theta, x, data)

        value_and_grad = optax.value_and_grad_from_state(function)

        def advance(carry):
            x, state, _, count = carry
            value, slope = value_and_grad(x, state=state)
            updates, state = lbfgs.update(
                slope, state, x, value=value, grad=slope, value_fn=function
            )
            x = optax.apply_updates(x, updates)
            return x, state, jnp.linalg.norm(optax.tree.get(state, "grad")), count + 1

        def unfinished(carry):
            *_, size, count = carry
            return (size > tol) & (count < 1000)

        size = jnp.linalg.norm(jax.grad(function)(x))
        return jax.lax.while_loop(unfinished, advance, (x, lbfgs.init(x), size, 0))[0]

    def outer_step(carry, step):
        theta, memory, x, adjoint = carry
        tol = jnp.maximum(first * ratio**step, last)
        x = solve(theta, x, tol)
        direct, cotangent = jax.grad(problem.outer, argnums=(0, 1))(theta, x, data)

        def slope(theta, x):
            return jax.grad(problem.inner, argnums=1)(theta, x, data)

        _, product = jax.linearize(lambda x: slope(theta, x), x)
        adjoint, _ = cg(product, cotangent, x0=adjoint, tol=tol, maxiter=1000)  # pyright: ignore
        _, pull = jax.vjp(lambda theta: slope(theta, x), theta)
        gradient = direct - pull(adjoint)[0]
        updates, memory = optimizer.update(gradient, memory, theta)
        return (optax.apply_updates(theta, updates), memory, x, adjoint), theta

    theta, x = problem.theta0, problem.x0
    start = (theta, optimizer.init(theta), x, jnp.zeros_like(x))
    return jax.lax.scan(outer_step, start, jnp.arange(steps))[1]


def soba(
    problem: Bilevel, data: Any, records: int, *, every: int, inner_step: float, outer_step: float
) -> Trajectory:
    """Dagréou et al. 2022 on all the data at once; theta before every `every` steps."""

    def advance(_, carry):
        theta, x, adjoint = carry
        direct, cotangent = jax.grad(problem.outer, argnums=(0, 1))(theta, x, data)

        def slope(theta, x):
            return jax.grad(problem.inner, argnums=1)(theta, x, data)

        to_x, pull = jax.vjp(slope, theta, x)
        cross, product = pull(adjoint)
        return (
            theta - outer_step * (direct - cross),
            x - inner_step * to_x,
            adjoint - inner_step * (product - cotangent),
        )

    def record(carry, _):
        return jax.lax.fori_loop(0, every, advance, carry), carry[0]

    start = (problem.theta0, problem.x0, jnp.zeros_like(problem.x0))
    return jax.lax.scan(record, start, length=records)[1]
