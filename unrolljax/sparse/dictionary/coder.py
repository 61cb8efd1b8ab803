"""Sparse codes of a batch of samples in a dictionary, differentiable in the dictionary."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from unrolljax.core.solution import Solution
from unrolljax.core.stop import Stop
from unrolljax.gradients.detach import Detach
from unrolljax.gradients.implicit import Implicit
from unrolljax.gradients.mode import GradientMode
from unrolljax.gradients.solve import solve
from unrolljax.solvers.proximal_gradient import ProximalGradient
from unrolljax.sparse.dictionary.gram import GramElasticNet, largest_eigenvalue_bound

ON_THE_SUPPORT = Implicit(linear_solver=("cg", "normal_cg"))
"""CG shares the product with the Gram matrix among the samples of a batch; LU would not."""


class Coder(eqx.Module):
    """The elastic-net code of each sample x in a dictionary D (Mairal, Bach & Ponce 2012, eq. 5).

    `a = argmin |x - D a|^2 / 2 + l1 |a|_1 + l2 |a|^2 / 2`, by FISTA with restart on the Gram
    matrix; every sample has a status of its own.

    - `l1`, `l2`: for samples of norm 1, l1 below 1. A positive l2 makes the code unique and the
      adjoint system regular, whatever the dictionary.
    - `gradient`: how codes are differentiated; the implicit mode solves on the support.
    - `stop`: for each sample. A code stops at a step shorter than `tol (1 + |a|)`.
    """

    l1: Float[Array, ""] | float
    l2: Float[Array, ""] | float = 0.0
    gradient: GradientMode = ON_THE_SUPPORT
    stop: Stop = Stop(1000, 1e-4)

    def __call__(
        self,
        dictionary: Float[Array, "features atoms"],
        samples: Float[Array, "samples features"],
        start: Float[Array, "samples atoms"] | None = None,
    ) -> Solution:
        """Codes (samples, atoms), differentiable in the dictionary, the samples, l1 and l2.

        `start` is where each solve begins: codes in a dictionary nearby, or zeros.
        """
        gram, correlations = dictionary.T @ dictionary, samples @ dictionary
        start = jnp.zeros_like(correlations) if start is None else start
        largest = jax.lax.stop_gradient(largest_eigenvalue_bound(gram) + self.l2)
        step_size = 1 / jnp.where(largest > 0, largest, 1)
        solver = ProximalGradient(step_size.astype(gram.dtype), accelerated=True)

        def encode(correlation: Array, x0: Array) -> Solution:
            problem = GramElasticNet(gram, correlation, self.l1, self.l2)
            return solve(solver, problem, x0, gradient=self.gradient, stop=self.stop)

        return jax.vmap(encode)(correlations, start)

    def without_gradient(self) -> "Coder":
        """The same codes, held constant."""
        return Coder(self.l1, self.l2, Detach(), self.stop)
