"""The alternating direction method of multipliers."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, PyTree

from unrolljax.core import trees
from unrolljax.core.solver import Problem, Solver
from unrolljax.solvers.kkt import KKT, kkt_residual


class SplitState(NamedTuple):
    """The point x, its copy z of K x, and the multiplier of K x = z (unscaled)."""

    primal: PyTree[Array]
    copy: PyTree[Array]
    dual: PyTree[Array]


class ADMM(Solver):
    """Minimise `smooth(x) + f(x) + g(K x)` by splitting z = K x (Boyd et al. 2011, section 3).

    The problem must define `argmin(target, penalty)`, the x that minimises
    `smooth(x) + f(x) + penalty/2 |K x - target|^2`. The unknown is a `KKT(primal, dual)`; start
    from `with_zero_dual(problem, x0)`.

    - `penalty`: rho > 0; any value converges, the speed depends on it.

    The condition is the pair of prox fixed points (KKT), not the splitting's own step: it needs
    no inner solve. Its Jacobian is not symmetric.
    """

    penalty: float | Array

    def init(self, problem: Problem, x0: KKT) -> SplitState:
        """Start with a feasible copy."""
        return SplitState(x0.primal, problem.linear(x0.primal), x0.dual)

    def step(self, problem: Problem, state: SplitState) -> SplitState:
        """Minimise over x, then over z, then move the multiplier."""
        inverse = 1 / jnp.asarray(self.penalty)
        target = trees.add_scaled(state.copy, -inverse, state.dual)
        primal = problem.argmin(target, self.penalty)
        image = problem.linear(primal)
        copy = problem.prox_g(trees.add_scaled(image, inverse, state.dual), inverse)
        dual = trees.add_scaled(state.dual, self.penalty, trees.subtract(image, copy))
        return SplitState(primal, copy, dual)

    def read(self, state: SplitState) -> KKT:
        """Point and multiplier."""
        return KKT(state.primal, state.dual)

    def optimality(self, problem: Problem, x: KKT) -> KKT:
        """The KKT residual with step sizes 1/penalty and penalty."""
        return kkt_residual(problem, x, 1 / jnp.asarray(self.penalty), self.penalty)
