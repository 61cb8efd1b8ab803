"""A criterion and its hypergradient at one point: a solve and an adjoint solve for each part."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.tree_util import tree_map
from jaxtyping import Array, Bool, Float, Int

from unrolljax.core.solver import Solver
from unrolljax.core.status import Status
from unrolljax.core.stop import Stop
from unrolljax.gradients.mode import GradientMode
from unrolljax.sparse.model_selection.criteria import Criterion
from unrolljax.sparse.model_selection.penalties import Penalties


class Evaluation(NamedTuple):
    """A criterion at a point.

    - `value`, `gradient`: of the criterion; the gradient has the structure of the point.
    - `x`: (parts, unknowns), the solutions; the warm start of the next evaluation.
    - `status`: the worst of the solves; `support`: the largest of the supports.
    """

    value: Float[Array, ""]
    gradient: Penalties
    x: Float[Array, "parts n"]
    status: Int[Array, ""]
    support: Int[Array, ""]

    @property
    def good(self) -> Bool[Array, ""]:
        """Whether value and gradient may be used."""
        flat = jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(self.gradient)])
        finite = jnp.isfinite(self.value) & jnp.all(jnp.isfinite(flat))
        return finite & (self.status == Status.CONVERGED)


class Machinery(eqx.Module):
    """With what inner problems are solved and differentiated."""

    solver: Solver
    gradient: GradientMode
    stop: Stop

    def evaluate(
        self, criterion: Criterion, theta: Penalties, x0: Float[Array, "parts n"]
    ) -> Evaluation:
        """The criterion at theta, its solves starting from x0; one part after the other."""

        def of_part(theta, x, part):
            problem = criterion.inner(theta, part)
            found = self.gradient.solve(self.solver, problem, x, self.stop)
            support = jnp.sum(found.value != 0)
            return criterion.loss(theta, found.value, part), (found.value, found.status, support)

        def add(total, row):
            (value, rest), slope = jax.value_and_grad(of_part, has_aux=True)(theta, *row)
            return tree_map(jnp.add, total, (value, slope)), rest

        zero = (jnp.zeros((), x0.dtype), tree_map(jnp.zeros_like, theta))
        rows = (x0, jnp.arange(criterion.parts))
        (value, slope), (x, status, support) = jax.lax.scan(add, zero, rows)
        return Evaluation(value, slope, x, jnp.max(status), jnp.max(support))


@eqx.filter_jit
def hypergradient(
    criterion: Criterion, theta: Penalties, x0: Float[Array, "parts n"], machinery: Machinery
) -> Evaluation:
    """One evaluation, compiled once for each kind of criterion and shape."""
    return machinery.evaluate(criterion, theta, x0)
