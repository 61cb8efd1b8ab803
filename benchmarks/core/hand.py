"""What a careful JAX user writes by hand, once for each gradient mode.

Each function takes an `Iteration` and returns `solve(parameters, data) -> x`, differentiable in
the parameters. No status, no diagnostics, no fallback: the least code that does the work.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import lineax as lx
from jax.lax import stop_gradient
from jaxtyping import Array

Parameters = Any
Data = Any
Solve = Callable[[Parameters, Data], Array]

ADJOINT_TOLERANCE = 3.5e-5
"""Relative residual of the adjoint solve: what `Implicit` asks of lineax in float32."""


class Iteration(NamedTuple):
    """An inner problem as its user sees it.

    - `step`: `(parameters, data, x) -> x`;
    - `condition`: `(parameters, data, x) -> residual`, zero at the solution;
    - `linear_solve`: `(matvec, b) -> u`, for the adjoint of the condition;
    - `tol`: of the relative step, where the mode tests convergence.
    """

    step: Callable[[Parameters, Data, Array], Array]
    condition: Callable[[Parameters, Data, Array], Array]
    linear_solve: Callable[[Callable, Array], Array]
    x0: Array
    steps: int
    tol: float


def implicit(iteration: Iteration) -> Solve:
    """A fixed number of steps and the implicit function theorem."""
    return _with_adjoint_solve(iteration, lambda p, d: _steps(iteration, p, d, iteration.steps))


def implicit_tested(iteration: Iteration) -> Solve:
    """A while loop that leaves at convergence, and the implicit function theorem."""

    def run(parameters, data):
        def unfinished(carry):
            x, old, count = carry
            return (count < iteration.steps) & ~_small(x - old, x, iteration.tol)

        def advance(carry):
            x, _, count = carry
            return iteration.step(parameters, data, x), x, count + 1

        first = iteration.step(parameters, data, iteration.x0)
        return jax.lax.while_loop(unfinished, advance, (first, iteration.x0, 1))[0]

    return _with_adjoint_solve(iteration, run)


def unroll(iteration: Iteration) -> Solve:
    """A scan."""
    return lambda parameters, data: _scan(
        lambda x: iteration.step(parameters, data, x), iteration.x0, iteration.steps
    )


def unroll_tested(iteration: Iteration) -> Solve:
    """A scan whose iterate is frozen by a `where` once it has converged."""

    def solve(parameters, data):
        def advance(carry):
            x, done = carry
            new = iteration.step(parameters, data, x)
            new_done = _small(stop_gradient(new - x), stop_gradient(new), iteration.tol)
            return jnp.where(done, x, new), done | new_done

        start = (iteration.x0, jnp.zeros((), bool))
        return _scan(advance, start, iteration.steps)[0]

    return solve


def unroll_all(iteration: Iteration) -> Solve:
    """A scan of rematerialised steps."""

    def solve(parameters, data):
        step = jax.checkpoint(lambda x: iteration.step(parameters, data, x))  # pyright: ignore
        return _scan(step, iteration.x0, iteration.steps)

    return solve


def unroll_sqrt(iteration: Iteration) -> Solve:
    """A scan of rematerialised scans of about the root of the number of steps."""

    def solve(parameters, data):
        def step(x):
            return iteration.step(parameters, data, x)

        segment = math.isqrt(iteration.steps)
        inner = jax.checkpoint(lambda x: _scan(step, x, segment))  # pyright: ignore
        x = _scan(inner, iteration.x0, iteration.steps // segment)
        return _scan(step, x, iteration.steps % segment)

    return solve


def truncated(iteration: Iteration, depth: int) -> Solve:
    """All but the last steps are held constant."""

    def solve(parameters, data):
        head = _steps(iteration, stop_gradient(parameters), data, iteration.steps - depth)
        step = lambda x: iteration.step(parameters, data, x)  # noqa: E731
        return _scan(step, stop_gradient(head), depth)

    return solve


def truncated_auto(iteration: Iteration, tol: float) -> Solve:
    """The adjoint series at the solution, until the estimated rest is below `tol` of the sum."""

    def run(parameters, data):
        def unfinished(carry):
            x, size, _, count = carry
            return (count < iteration.steps) & (size > iteration.tol * (1 + jnp.linalg.norm(x)))

        def advance(carry):
            x, size, rate, count = carry
            new = iteration.step(parameters, data, x)
            new_size = jnp.linalg.norm(new - x)
            ratio = new_size / size
            rate = jnp.where(count < 2, ratio, jnp.sqrt(rate * ratio))
            return new, new_size, rate, count + 1

        one = jnp.ones((), iteration.x0.dtype)
        x, _, rate, _ = jax.lax.while_loop(unfinished, advance, (iteration.x0, one, one, 0))
        return x, rate

    def adjoint(pull, cotangent, rate):
        def unfinished(carry):
            total, term, ratio = carry
            slowest = jnp.maximum(ratio, rate)
            return jnp.linalg.norm(term) > tol * (1 - slowest) * jnp.linalg.norm(total)

        def extend(carry):
            total, term, _ = carry
            new = pull(term)
            return total + new, new, jnp.linalg.norm(new) / jnp.linalg.norm(term)

        start = (cotangent, cotangent, jnp.zeros_like(rate))
        return jax.lax.while_loop(unfinished, extend, extend(start))[0]

    return _with_series(iteration, run, adjoint)


def one_step(iteration: Iteration) -> Solve:
    """One differentiated step from a solution that is held constant."""

    def solve(parameters, data):
        x = _steps(iteration, stop_gradient(parameters), data, iteration.steps)
        return iteration.step(parameters, data, stop_gradient(x))

    return solve


def neumann(iteration: Iteration, terms: int) -> Solve:
    """A fixed number of terms of the adjoint series at the solution."""

    def run(parameters, data):
        return _steps(iteration, parameters, data, iteration.steps), None

    def adjoint(pull, cotangent, _):
        return _scan(lambda total: cotangent + pull(total), cotangent, terms - 1)

    return _with_series(iteration, run, adjoint)


def conjugate_gradient(matvec: Callable, b: Array) -> Array:
    """CG of lineax, for positive definite conditions."""
    tags = frozenset({lx.positive_semidefinite_tag})
    operator = lx.FunctionLinearOperator(matvec, jax.eval_shape(lambda: b), tags)
    tol = ADJOINT_TOLERANCE * jnp.linalg.norm(b)
    method = lx.CG(0.0, tol, norm=jnp.linalg.norm, stabilise_every=None, max_steps=1000)
    return lx.linear_solve(operator, b, method, throw=False).value


def bicgstab(matvec: Callable, b: Array) -> Array:
    """BiCGStab of JAX: lineax's takes a negative inner product for a breakdown in float32."""
    return jax.scipy.sparse.linalg.bicgstab(matvec, b, tol=ADJOINT_TOLERANCE)[0]


def dense(matvec: Callable, b: Array) -> Array:
    """An LU decomposition of the materialised matrix."""
    return jnp.linalg.solve(jax.vmap(matvec, out_axes=1)(jnp.eye(b.size, dtype=b.dtype)), b)


def _with_adjoint_solve(iteration: Iteration, run: Solve) -> Solve:
    @jax.custom_vjp
    def solve(parameters, data):
        return run(parameters, data)

    def forward(parameters, data):
        x = run(parameters, data)
        return x, (parameters, data, x)

    def backward(saved, cotangent):
        parameters, data, x = saved
        _, pull_x = jax.vjp(lambda v: iteration.condition(parameters, data, v), x)
        adjoint = iteration.linear_solve(lambda u: pull_x(u)[0], cotangent)
        _, pull_parameters = jax.vjp(lambda p: iteration.condition(p, data, x), parameters)
        return *pull_parameters(-adjoint), None

    solve.defvjp(forward, backward)
    return solve


def _with_series(iteration: Iteration, run: Callable, adjoint: Callable) -> Solve:
    @jax.custom_vjp
    def solve(parameters, data):
        return run(parameters, data)[0]

    def forward(parameters, data):
        x, rate = run(parameters, data)
        return x, (parameters, data, x, rate)

    def backward(saved, cotangent):
        parameters, data, x, rate = saved
        _, pull_x = jax.vjp(lambda v: iteration.step(parameters, data, v), x)
        total = adjoint(lambda u: pull_x(u)[0], cotangent, rate)
        _, pull_parameters = jax.vjp(lambda p: iteration.step(p, data, x), parameters)
        return *pull_parameters(total), None

    solve.defvjp(forward, backward)
    return solve


def _steps(iteration: Iteration, parameters: Parameters, data: Data, steps: int) -> Array:
    step = lambda _, x: iteration.step(parameters, data, x)  # noqa: E731
    return jax.lax.fori_loop(0, steps, step, iteration.x0)


def _scan(step: Callable, start: Any, length: int) -> Any:
    return jax.lax.scan(lambda carry, _: (step(carry), None), start, length=length)[0]


def _small(step: Array, x: Array, tol: float) -> Array:
    return jnp.linalg.norm(step) <= tol * (1 + jnp.linalg.norm(x))
