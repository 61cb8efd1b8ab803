"""Which way the gradient of a solve is computed: by its series, or by an adjoint solve."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from unrolljax.core.solver import Structure
from unrolljax.gradients.adjoint.refine import products_of
from unrolljax.gradients.rate import truncation_depth


class Decision(NamedTuple):
    """What `Auto` has chosen for one solve, as data: one of each per element of a batch.

    - `truncated`: whether the series is tried first; else the implicit theorem is used at once.
    - `depth`: terms of the series that the rate asks for; the largest int32 where none suffice.
    - `products`: products that the adjoint solve is predicted to take.
    - `rate`: contraction rate that the solve has shown.
    - `iterate_error`: estimated relative error of the solution itself.
    - `extra_steps`: steps taken beyond the stopping rule, so that the solution is good enough.
    - `tol`: relative error allowed to the gradient.
    """

    truncated: Bool[Array, ""]
    depth: Int[Array, ""]
    products: Int[Array, ""]
    rate: Float[Array, ""]
    iterate_error: Float[Array, ""]
    extra_steps: Int[Array, ""]
    tol: Float[Array, ""]

    def explain(self) -> str:
        """The choice and its reason in a sentence, a line for each element (host only)."""
        fields = [np.ravel(field) for field in self]
        lines = [_sentence(Decision(*row)) for row in zip(*fields, strict=True)]
        return "\n".join(lines)


def decide(
    rate: Array, tol: Array, size: int, structure: Structure, differentiable: bool
) -> tuple[Bool[Array, ""], Int[Array, ""], Int[Array, ""]]:
    """Whether the series is cheaper, its depth, and the predicted products of the adjoint solve.

    - `size`: real unknowns; `structure`: of the condition's Jacobian where the system is solved;
      `differentiable`: whether reverse mode can go through a step.

    Both aim at an error of `tol`, hence at a residual of `tol (1 - rate)`. A Krylov method takes
    about `sqrt(kappa) / 2 log(2 / residual)` iterations, with kappa = (1 + rate) / (1 - rate) as of
    a symmetric map (Saad 2003, section 6.11), and at most as many as there are unknowns.
    """
    contracting = jnp.clip(rate, 0, 1 - jnp.finfo(rate.dtype).epsneg)
    residual = tol * (1 - contracting)
    depth = jnp.asarray(truncation_depth(rate, residual))
    kappa = (1 + contracting) / (1 - contracting)
    steps = jnp.minimum(jnp.ceil(jnp.sqrt(kappa) / 2 * jnp.log(2 / residual)), size)
    products = jnp.asarray(products_of(steps.astype(jnp.int32), size, structure), jnp.int32)
    return (depth <= products) & differentiable, depth, products


def _sentence(decision: Decision) -> str:
    never = np.iinfo(np.int32).max
    rate, depth = f"rate {decision.rate:.3g}", f"a depth of {decision.depth}"
    solve = f"the {decision.products} products that the adjoint solve is predicted to take"
    if decision.truncated:
        text = f"truncated: {rate} needs {depth}, no more than {solve}"
    elif decision.depth == never:
        text = f"implicit: {rate} forgets nothing, at any depth; {decision.products} products"
    elif decision.depth <= decision.products:
        text = "implicit: a step of this solver cannot be differentiated"
    else:
        text = f"implicit: {rate} would need {depth}, more than {solve}"
    if not np.isfinite(decision.iterate_error):
        return f"{text}; the error of the solution is not known"
    text += f"; the solution is good to {decision.iterate_error:.1e}"
    return text + (f" after {decision.extra_steps} extra steps" if decision.extra_steps else "")
