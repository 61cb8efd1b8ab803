"""Primal-dual unknowns of `min smooth(x) + f(x) + g(K x)` and the condition that they meet."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import tree_map
from jaxtyping import Array, PyTree

from unrolljax.core import trees
from unrolljax.core.solver import Problem


class KKT(NamedTuple):
    """A point and the multiplier of its image: at a solution, a subgradient of g at K x."""

    primal: PyTree[Array]
    dual: PyTree[Array]


def with_zero_dual(problem: Problem, primal: PyTree[Array]) -> KKT:
    """The start that most users want: a point and no multiplier."""
    image = jax.eval_shape(problem.linear, primal)
    return KKT(primal, tree_map(lambda v: jnp.zeros(v.shape, v.dtype), image))


def adjoint(problem: Problem, primal: PyTree[Array], dual: PyTree[Array]) -> PyTree[Array]:
    """`K^* dual`, the conjugate transpose of `problem.linear` applied to a dual vector."""
    transposed = jax.linear_transpose(problem.linear, primal)
    return tree_map(jnp.conj, transposed(tree_map(jnp.conj, dual))[0])


def conjugate_prox(problem: Problem, v: PyTree[Array], step: Array | float) -> PyTree[Array]:
    """The proximal operator of `step * g*`, by Moreau's identity."""
    inverse = 1 / jnp.asarray(step)
    return trees.add_scaled(v, -step, problem.prox_g(trees.scale(inverse, v), inverse))


def primal_step(problem: Problem, point: KKT, step: Array | float) -> PyTree[Array]:
    """`prox_f(x - step * (grad smooth(x) + K^* dual), step)`."""
    slope = trees.add(
        trees.gradient(problem.smooth, point.primal), adjoint(problem, point.primal, point.dual)
    )
    return problem.prox_f(trees.add_scaled(point.primal, -step, slope), step)


def dual_step(
    problem: Problem, dual: PyTree[Array], at: PyTree[Array], step: Array | float
) -> PyTree[Array]:
    """`prox_{step g*}(dual + step * K at)`."""
    return conjugate_prox(problem, trees.add_scaled(dual, step, problem.linear(at)), step)


def kkt_residual(
    problem: Problem, point: KKT, primal_size: Array | float, dual_size: Array | float
) -> KKT:
    """Zero exactly at a saddle point, whatever the (positive) step sizes."""
    return KKT(
        trees.subtract(point.primal, primal_step(problem, point, primal_size)),
        trees.subtract(point.dual, dual_step(problem, point.dual, point.primal, dual_size)),
    )
