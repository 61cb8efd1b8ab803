"""Training fixed points, and the denoiser to have them."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from unrolljax.core import trees
from unrolljax.core.solution import Solution
from unrolljax.core.stop import Stop
from unrolljax.gradients.implicit import Implicit
from unrolljax.gradients.mode import GradientMode
from unrolljax.imaging.denoisers.jacobian_penalty import jacobian_penalty
from unrolljax.imaging.solvers.plug_and_play import PlugAndPlay
from unrolljax.imaging.training.end_to_end import Measured, Restorer
from unrolljax.imaging.training.fit import Outcome


class Equilibrium(eqx.Module):
    """Squared error of fixed points plus a penalty on the denoiser's Jacobian, as a loss for `fit`.

    Deep equilibrium restoration (Gilton, Ongie & Willett 2021) by implicit gradients, which are
    right only at fixed points: the penalty (Pesquet et al. 2021) keeps the denoiser where the
    iteration has and finds them. It is taken at the solution, more precisely at the solver's
    unknown where that is one image (what ADMM's denoiser reads), which it leaves where it is.

    - `gradient`: implicit, with its adjoint solver; or a mode that comes near to it.
    - `stop`: with a tolerance; solves that miss it are set aside.
    - `penalty`: its weight, in squared grey values.
    - `margin`, `power_steps`: as of `jacobian_penalty`.
    """

    gradient: GradientMode = Implicit()
    stop: Stop = Stop(max_steps=200, tol=1e-4)
    penalty: Float[Array, ""] | float = 1e-3
    margin: Float[Array, ""] | float = 0.05
    power_steps: int = eqx.field(default=10, static=True)

    def __call__(self, restorer: Restorer, source: Any, batch: Measured) -> Outcome:
        """The penalised error of every problem, and the statuses.

        Raises ValueError for a solver without a denoiser, or with one strength for each layer.
        """
        del source
        weight = jnp.asarray(self.penalty)

        def one(data, truth):
            solution = restorer(data, gradient=self.gradient, stop=self.stop)
            error = jnp.mean((solution.value - truth) ** 2)
            excess = stretch(restorer, solution, self.margin, self.power_steps)
            return error + weight.astype(error.dtype) * excess, solution.status

        return Outcome(*jax.vmap(one)(*batch))


def stretch(
    restorer: Restorer,
    solution: Solution,
    margin: Float[Array, ""] | float = 0.05,
    power_steps: int = 10,
) -> Float[Array, ""]:
    """`jacobian_penalty` of a restorer's denoiser at its solution, which it leaves where it is.

    Raises ValueError for a solver without a denoiser, or with one strength for each layer.
    """
    sigma = _strength(restorer)
    point = restorer.solver.read(solution.state)
    return jacobian_penalty(
        restorer.prior,
        trees.stop_gradient(point if isinstance(point, jax.Array) else solution.value),
        trees.stop_gradient(sigma),
        margin=margin,
        steps=power_steps,
    )


def _strength(restorer: Restorer) -> Float[Array, ""]:
    """The denoiser's sigma; a ValueError unless there is one, the same at every step."""
    sigma = getattr(restorer.solver, "sigma", None)
    if not isinstance(restorer.solver, PlugAndPlay) or sigma is None or jnp.ndim(sigma):
        raise ValueError(
            "Equilibrium trains tied plug-and-play solvers, with one sigma for all steps; this "
            f"{type(restorer.solver).__name__} has none or one for each layer."
        )
    return sigma
