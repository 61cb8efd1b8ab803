"""Accelerated plug-and-play proximal gradient."""

from typing import NamedTuple

from jaxtyping import Array, Int

from unrolljax.imaging.restoration import Image, Restoration
from unrolljax.imaging.solvers.pnp_proximal_gradient import PnPProximalGradient


class AcceleratedState(NamedTuple):
    """An image, the point from which the next step starts, and how many steps have been taken."""

    x: Image
    at: Image
    layer: Int[Array, ""]


class PnPFISTA(PnPProximalGradient):
    """`PnPProximalGradient` from extrapolated points: step k moves on by `k / (k + 3)` of its move.

    Its fixed points, numbers and gradients are those of `PnPProximalGradient`; keep the step size
    below 1/L. FISTA with the inertia of Chambolle & Dossal (2015); as D is rarely a proximal
    operator nothing guarantees that it settles, and the status says whether it did.
    """

    def init(self, problem: Restoration, x0: Image) -> AcceleratedState:
        """Start without inertia; raises as `PnPProximalGradient` does."""
        state = super().init(problem, x0)
        return AcceleratedState(state.x, state.x, state.layer)

    def step(self, problem: Restoration, state: AcceleratedState) -> AcceleratedState:
        """One layer from the extrapolated point."""
        solver, problem = self.at(problem, state.layer)
        x = solver.update(problem, state.at)
        k = state.layer.astype(x.real.dtype)
        ahead = x + (k / (k + 3)).astype(x.dtype) * (x - state.x)
        return AcceleratedState(x, ahead, state.layer + 1)

    def residual(
        self, problem: Restoration, before: AcceleratedState, after: AcceleratedState
    ) -> Image:
        """The fixed-point residual at the point from which the step was taken."""
        del problem
        return before.at - after.x
