"""A fixed number of terms of the adjoint's Neumann series, at the solution."""

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.tree_util import tree_map
from jaxtyping import Array, PyTree

from unrolljax.core import trees
from unrolljax.core.solution import Solution
from unrolljax.core.solver import Problem, Solver, State
from unrolljax.core.status import Status
from unrolljax.core.stop import Stop
from unrolljax.gradients.implicit import check_convergence_is_tested, check_on_failure
from unrolljax.gradients.mode import GradientMode, assemble, run_untaped
from unrolljax.gradients.series import Split, linearise_step, split


class Neumann(GradientMode):
    """`(I - J)^{-1}` replaced by its first `terms` powers; J is a step's Jacobian at the solution.

    The error shrinks like `rate ** terms` (Lorraine, Vicol & Duvenaud 2020); `terms=1` is one-step
    differentiation. No tape; forward and reverse mode. As with `Implicit`, `on_failure="nan"`
    makes the derivative NaN where the solve did not converge.
    """

    terms: int = eqx.field(default=10, static=True)
    on_failure: Literal["nan", "ignore"] = eqx.field(default="nan", static=True)

    def __check_init__(self):
        check_on_failure(self)
        if self.terms < 1:
            raise ValueError(f"Neumann(terms={self.terms}) must be at least 1.")

    def check(self, solver: Solver, stop: Stop, dtype: Any) -> None:
        """Refuse solvers whose step cannot be differentiated and a stop without a test."""
        del dtype
        self._needs_a_differentiable_step(solver)
        check_convergence_is_tested(self, stop)

    def solve(self, solver: Solver, problem: Problem, x0: PyTree[Array], stop: Stop) -> Solution:
        """Step until `stop` says so, off every differentiated path; then attach the series."""
        state, info = run_untaped(solver, problem, x0, stop)
        good = (info.status == Status.CONVERGED) | (self.on_failure == "ignore")
        factor = jnp.where(good, 1.0, jnp.nan)
        state = _attach(solver, problem, state, factor, self.terms)
        return assemble(solver, problem, solver.read(state), state, info)


def _attach(solver: Solver, problem: Problem, state: State, factor: Array, terms: int) -> State:
    """`state`, with the tangent `factor * sum_{k<terms} J^k dstep/dtheta dtheta`."""
    theta, last = split((solver, problem)), split(state)

    @jax.custom_jvp
    def value(theta_arrays, state_arrays, factor):
        del theta_arrays, factor
        return state_arrays[0]

    @value.defjvp
    def _(primals, tangents):
        # Recursing gives the state its own derivative: second derivatives are right.
        numbers = value(*primals)
        theta_arrays, state_arrays, factor = primals
        linear = linearise_step(
            Split(theta_arrays[0], theta_arrays[1], theta.static),
            Split(numbers, state_arrays[1], last.static),
        )
        source = linear.from_theta(tangents[0][0])

        def add_term(total, _):
            return trees.add(source, linear.through_state(total)), None

        zero = tree_map(jnp.zeros_like, source)
        total, _ = jax.lax.scan(add_term, zero, length=terms)
        return numbers, trees.scale(factor, total)

    numbers = value(theta[:2], last[:2], factor)
    return Split(numbers, last.others, last.static).whole
