"""Training a denoiser and its solver by the images that they restore."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.tree_util import tree_leaves, tree_map
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from unrolljax.core import trees
from unrolljax.core.solution import Solution
from unrolljax.core.solver import Solver
from unrolljax.core.stop import Stop
from unrolljax.gradients.mode import GradientMode
from unrolljax.imaging.data_terms.data_term import DataTerm
from unrolljax.imaging.restoration import Image, Restoration
from unrolljax.imaging.solvers.restore import restore
from unrolljax.imaging.training.fit import Outcome


class Restorer(eqx.Module):
    """A solver and the prior or denoiser that it uses: what end-to-end training learns.

    - `prior`: as of `Restoration`, its arrays learned as they are; `PerLayer` for untied ones.
    - `logs`, `log_weight`: the logarithms of the solver's numbers and of the prior's weight, so
      that training keeps them positive.
    """

    prior: Any
    logs: Solver
    log_weight: Float[Array, ""]

    @classmethod
    def start(cls, solver: Solver, prior: Any, weight: ArrayLike = 1.0) -> "Restorer":
        """From a solver and a weight, all of whose numbers must be positive, else a ValueError."""
        numbers = trees.arrays((solver, jnp.asarray(weight)))
        for leaf in tree_leaves(eqx.filter(numbers, eqx.is_inexact_array)):
            if not isinstance(leaf, Tracer) and not np.all(np.asarray(leaf) > 0):
                raise ValueError(
                    f"Restorer.start(solver, weight) learns logarithms: every number of "
                    f"{type(solver).__name__} and the weight must be positive; one is {leaf}."
                )
        return cls(prior, *_mapped(jnp.log, numbers))

    @property
    def solver(self) -> Solver:
        """The solver with its numbers."""
        return _mapped(jnp.exp, self.logs)

    def problem(self, data: DataTerm) -> Restoration:
        """The restoration of what was measured."""
        return Restoration(data, self.prior, jnp.exp(self.log_weight))

    def __call__(
        self,
        data: DataTerm,
        start: Image | None = None,
        *,
        gradient: GradientMode | None = None,
        stop: Stop | None = None,
    ) -> Solution:
        """`restore`: the image and its status."""
        return restore(self.solver, self.problem(data), start, gradient=gradient, stop=stop)


class Measured(NamedTuple):
    """A batch: data terms, every array of which has a leading axis of problems, and the truths.

    `eqx.filter_vmap(simulate)(truths, keys)` makes one from a function of one image and one key:
    noise, kernels, masks and noise levels may all differ.
    """

    data: DataTerm
    truth: Float[Array, "problems height width channels"]


class EndToEnd(eqx.Module):
    """The mean squared error of restored images, as a loss for `fit`.

    - `gradient`: any mode; how the restorer's parameters are differentiated through the solves.
    - `stop`: of the solves. A solve that ends above its tolerance has failed and teaches nothing:
      a network of a fixed depth, tied or untied, runs with `Stop(max_steps=depth, tol=None)`.
    """

    gradient: GradientMode
    stop: Stop

    def __call__(self, restorer: Restorer, source: Any, batch: Measured) -> Outcome:
        """The error of every problem, in squared grey values, and the statuses."""
        del source

        def one(data, truth):
            solution = restorer(data, gradient=self.gradient, stop=self.stop)
            return jnp.mean((solution.value - truth) ** 2), solution.status

        return Outcome(*jax.vmap(one)(*batch))


def _mapped(function, numbers):
    return tree_map(lambda v: function(v) if eqx.is_inexact_array(v) else v, numbers)
