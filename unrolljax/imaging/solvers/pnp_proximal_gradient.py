"""Plug-and-play proximal gradient."""

from jaxtyping import Array, Float

from unrolljax.imaging.restoration import Image, Restoration
from unrolljax.imaging.solvers.plug_and_play import PlugAndPlay, denoised, number


class PnPProximalGradient(PlugAndPlay):
    """`x <- D(x - step_size * grad f(x), sigma)`, f the data term and D the denoiser.

    - `step_size`: below 2/L, L the Lipschitz constant of the data term's gradient
      (`data.lipschitz()`).
    - `sigma`: the denoiser's strength, a standard deviation in grey values.

    It contracts where D is averaged and the data term strongly convex, and finds a fixed point
    where D is averaged (Kamilov, Mansour & Wohlberg 2017; Ryu et al. 2019). Scalars, or one entry
    for each layer.
    """

    step_size: Float[Array, "*layers"] | float
    sigma: Float[Array, "*layers"] | float

    def update(self, problem: Restoration, x: Image) -> Image:
        """A gradient step on the data term, then the denoiser."""
        step = number(self.step_size, x)
        return denoised(problem, x - step * problem.data.gradient(x), self.sigma)
