"""The outer objective, its gradient and its minimum, by dense Newton steps to rounding error."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Array, Float

from benchmarks.bilevel.problems import Bilevel

NEWTON_STEPS = 10


class Reference:
    """What is exact about a problem; nothing of unrolljax is used."""

    def __init__(self, problem: Bilevel):
        self.problem = problem
        self._evaluate = jax.jit(functools.partial(_evaluate, problem.inner, problem.outer))

    def value_and_gradient(self, theta: Array) -> tuple[Array, Array]:
        """Outer value and hypergradient."""
        return self._evaluate(jnp.asarray(theta), self.problem.x0, self.problem.data)

    def direct_gradient(self, theta: Array) -> Array:
        """The part of the gradient that does not go through x."""
        x = _minimiser(self.problem.inner, theta, self.problem.x0, self.problem.data)
        return jax.grad(self.problem.outer)(theta, x, self.problem.data)

    def suboptimality(self, theta: Array) -> float:
        """`(h(theta) - h*) / (h(theta0) - h*)`."""
        first = float(self.value_and_gradient(self.problem.theta0)[0])
        return (float(self.value_and_gradient(theta)[0]) - self.least) / (first - self.least)

    def steps_to(self, accuracy: float, thetas: Float[Array, "steps features"]) -> int | None:
        """A step whose theta is the first of a row of accurate ones; None if the last is not."""
        low, high = 0, len(thetas) - 1
        if not self.suboptimality(thetas[high]) <= accuracy:
            return None
        while high - low > 1:
            middle = (low + high) // 2
            accurate = self.suboptimality(thetas[middle]) <= accuracy
            low, high = (low, middle) if accurate else (middle, high)
        return high

    @functools.cached_property
    def least(self) -> float:
        """The outer minimum that scipy finds."""

        def function(theta):
            value, gradient = self.value_and_gradient(theta)
            return float(value), np.asarray(gradient)

        options = {"maxiter": 1000, "ftol": 1e-16, "gtol": 1e-9}
        found = scipy.optimize.minimize(
            function, np.asarray(self.problem.theta0), jac=True, method="L-BFGS-B", options=options
        )
        return float(found.fun)


def _minimiser(inner, theta, x0, data):
    def step(_, x):
        slope = jax.grad(inner, argnums=1)(theta, x, data)
        return x - jnp.linalg.solve(jax.hessian(inner, argnums=1)(theta, x, data), slope)

    return jax.lax.fori_loop(0, NEWTON_STEPS, step, x0)


def _evaluate(inner, outer, theta, x0, data):
    x = _minimiser(inner, theta, x0, data)
    value, (direct, cotangent) = jax.value_and_grad(outer, argnums=(0, 1))(theta, x, data)
    adjoint = jnp.linalg.solve(jax.hessian(inner, argnums=1)(theta, x, data), cotangent)
    _, pull = jax.vjp(lambda t: jax.grad(inner, argnums=1)(t, x, data), theta)
    return value, direct - pull(adjoint)[0]
