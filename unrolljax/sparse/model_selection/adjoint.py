"""The derivative of a sparse solution, from the few columns that it uses."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.tree_util import tree_map
from jaxtyping import Array, Bool, Float, PyTree

from unrolljax.core import trees
from unrolljax.core.solution import Solution
from unrolljax.core.solver import Solver
from unrolljax.core.status import Status
from unrolljax.core.stop import Stop
from unrolljax.gradients.adjoint.linear import LinearReport
from unrolljax.gradients.implicit import check_convergence_is_tested, check_on_failure
from unrolljax.gradients.mode import GradientMode, assemble, run_untaped
from unrolljax.sparse.model_selection.columns import Columns, hold
from unrolljax.sparse.model_selection.quadratic import factor
from unrolljax.sparse.model_selection.working_set import UntilFull, WorkingSet
from unrolljax.sparse.problems.lasso import Lasso


class SupportAdjoint(GradientMode):
    """The implicit function theorem on the support: columns gathered once, one Cholesky.

    What `Implicit(capacity=...)` computes, for a lasso, elastic net or sparse logistic regression,
    without a product with the whole matrix: the adjoint system is `A_S^T D A_S + ridge`, S the
    support and D the losses' curvatures (Bertrand et al. 2020, proposition 1).

    - `capacity`: static; at least the size of the support.
    - `on_failure`: "nan" makes the derivative NaN where the solve or the adjoint solve failed;
      "ignore" passes it on.

    The status is CAPACITY_EXCEEDED where the support does not fit, here or in a `WorkingSet`,
    which then ends at once. The derivative with respect to x0 is zero; where columns of the
    support depend on each other the system is singular, and the derivative fails.
    """

    capacity: int = eqx.field(static=True)
    on_failure: str = eqx.field(default="nan", static=True)

    def __check_init__(self):
        check_on_failure(self)
        if self.capacity < 1:
            raise ValueError(f"SupportAdjoint(capacity={self.capacity}) must be at least 1.")

    def check(self, solver: Solver, stop: Stop, dtype: jnp.dtype) -> None:
        """Refuse a stop that tests no convergence."""
        del solver, dtype
        check_convergence_is_tested(self, stop)

    def solve(self, solver: Solver, problem: Lasso, x0: Float[Array, " n"], stop: Stop) -> Solution:
        """Step until `stop` says so, off every differentiated path; then attach the theorem."""
        working = isinstance(solver, WorkingSet)
        tol = jnp.asarray(jnp.inf if stop.tol is None else stop.tol).astype(x0.dtype)
        stepping = UntilFull(solver.capacity, tol) if working else solver
        state, info = run_untaped(stepping, problem, x0, stop)
        x = jax.lax.stop_gradient(solver.read(state))
        support = problem.support(x)
        overflow = jnp.sum(support) > self.capacity
        if working:
            overflow |= state.full & (info.status != Status.CONVERGED)
        status = jnp.where(overflow, Status.CAPACITY_EXCEEDED, info.status).astype(jnp.int32)
        converged = status == Status.CONVERGED
        x = _attach(problem, x, converged, self.capacity, self.on_failure == "nan")
        return assemble(solver, problem, x, solver.init(problem, x), info._replace(status=status))


def pull_back(
    problem: Lasso, x: Float[Array, " n"], cotangent: Float[Array, " n"], capacity: int
) -> tuple[PyTree, Float[Array, " n"], LinearReport]:
    """The cotangent of a problem for one of its solution, the adjoint, the report of its solve.

    The first has the problem's structure with None where a leaf is no inexact array. The report's
    status is CONVERGED, CAPACITY_EXCEEDED or, for a singular system, ADJOINT_BREAKDOWN.
    """
    columns = hold(problem.support(x), capacity)
    u = columns.gather(x)
    adjoint, report = _solve(problem, columns, u, columns.gather(cotangent))
    numbers, rest = eqx.partition(problem, eqx.is_inexact_array)

    def condition(numbers):
        own: Lasso = eqx.combine(numbers, rest)
        W = columns.matrix(own.A)
        weight = columns.gather(jnp.broadcast_to(jnp.asarray(own.weight, x.dtype), x.shape))
        return W @ own.slope(u @ W) + own.ridge_weight() * u + weight * jnp.sign(u)

    _, pull = jax.vjp(condition, numbers)
    return pull(-adjoint)[0], columns.scatter(adjoint, x.size), report


def _solve(problem: Lasso, columns: Columns, u: Array, b: Array) -> tuple[Array, LinearReport]:
    """The adjoint system on gathered columns, refined once."""
    W = columns.matrix(problem.A)
    G = (W * problem.curvature(u @ W)[None]) @ W.T
    G = jnp.where(columns.used[:, None] & columns.used[None], G, jnp.eye(u.size, dtype=u.dtype))
    G = G + jnp.diag(jnp.where(columns.used, problem.ridge_weight(), 0).astype(u.dtype))
    root = factor(G, columns.used)
    adjoint = jax.scipy.linalg.cho_solve((root, True), b)
    adjoint = adjoint + jax.scipy.linalg.cho_solve((root, True), b - G @ adjoint)
    size = trees.norm(b)
    residual = trees.norm(b - G @ adjoint) / jnp.where(size > 0, size, 1)
    # A pivot is what the columns before leave of a column: rounding errors, if they span it.
    left = jnp.diag(root) ** 2 / jnp.diag(G)
    regular = jnp.all(left > 10 * u.size * jnp.finfo(u.dtype).eps)
    status = jnp.where(regular & trees.all_finite(adjoint), Status.CONVERGED, _SINGULAR)
    status = jnp.where(columns.fits, status, Status.CAPACITY_EXCEEDED).astype(jnp.int32)
    return adjoint, LinearReport(status, residual, jnp.ones((), jnp.int32))


_SINGULAR = Status.ADJOINT_BREAKDOWN


def _attach(
    problem: Lasso, x: Float[Array, " n"], converged: Bool[Array, ""], capacity: int, nan: bool
) -> Float[Array, " n"]:
    """`x` with the derivative in the problem's inexact arrays."""
    numbers, rest = eqx.partition(problem, eqx.is_inexact_array)

    @jax.custom_vjp
    def value(numbers, x, converged):
        del numbers, converged
        return x

    def forward(numbers, x, converged):
        # Recursing gives the residual x its own derivative: second derivatives are right.
        x = value(numbers, x, converged)
        return x, (numbers, x, converged)

    def backward(saved, cotangent):
        numbers, x, converged = saved
        bar, _, report = pull_back(eqx.combine(numbers, rest), x, cotangent, capacity)
        if nan:
            good = converged & (report.status == Status.CONVERGED)
            bar = tree_map(lambda v: jnp.where(good, v, jnp.nan), bar)
        return bar, jnp.zeros_like(x), None

    value.defvjp(forward, backward)
    return value(numbers, x, converged)
