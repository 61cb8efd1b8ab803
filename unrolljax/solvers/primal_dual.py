"""The primal-dual hybrid gradient method of Chambolle and Pock, with a smooth term."""

from jaxtyping import Array

from unrolljax.core import trees
from unrolljax.core.solver import Problem, Solver
from unrolljax.solvers.kkt import KKT, dual_step, kkt_residual, primal_step


class PrimalDual(Solver):
    """Minimise `smooth(x) + f(x) + g(K x)` by alternating proximal steps on x and its multiplier.

    The unknown is a `KKT(primal, dual)`; start from `with_zero_dual(problem, x0)`.

    - `primal_size`, `dual_size`: the two step sizes; converges for
      `primal_size * (L / 2 + dual_size * |K|^2) <= 1`, L the Lipschitz constant of smooth's
      gradient (Chambolle & Pock 2011 for smooth = 0; Condat 2013, Vu 2013).

    The condition is the pair of prox fixed points (KKT); its Jacobian is not symmetric.
    """

    primal_size: float | Array
    dual_size: float | Array

    def init(self, problem: Problem, x0: KKT) -> KKT:
        """The state is the pair itself."""
        del problem
        return x0

    def step(self, problem: Problem, state: KKT) -> KKT:
        """A primal step, extrapolation, a dual step."""
        primal = primal_step(problem, state, self.primal_size)
        ahead = trees.add(primal, trees.subtract(primal, state.primal))
        return KKT(primal, dual_step(problem, state.dual, ahead, self.dual_size))

    def read(self, state: KKT) -> KKT:
        """The pair."""
        return state

    def optimality(self, problem: Problem, x: KKT) -> KKT:
        """The KKT residual in the method's own step sizes."""
        return kkt_residual(problem, x, self.primal_size, self.dual_size)
