"""Plug-and-play ADMM, as one array."""

from jaxtyping import Array, Float

from unrolljax.imaging.restoration import Image, Restoration
from unrolljax.imaging.solvers.plug_and_play import LAST, PlugAndPlay, denoised, number


class PnPADMM(PlugAndPlay):
    """`z = D(v, sigma)`, `v <- v + prox_f(2 z - v, step_size) - z`: ADMM in Douglas-Rachford form.

    With f the data term, D the denoiser, and v = x + u the sum of ADMM's primal iterate x and its
    scaled multiplier u, this is `z <- D(x + u)`, `u <- u + x - z`, `x <- prox_f(z - u)`
    (Venkatakrishnan, Bouman & Wohlberg 2013; Ryu et al. 2019, algorithm PNP-DRS). The unknown that
    `solve` takes and returns is v; the image is `image(problem, v) = D(v)`, which `restore` reads.
    An image as start means no multiplier; `data.prox(image, step_size)` spares D the raw data.

    - `step_size`: positive, the inverse of ADMM's penalty; the speed depends on it, and as D is no
      proximal operator, so does the result.
    - `sigma`: the denoiser's strength, a standard deviation in grey values.

    It has a fixed point that it finds where `2 D - I` is non-expansive (D is averaged). Scalars,
    or one entry for each layer.
    """

    step_size: Float[Array, "*layers"] | float
    sigma: Float[Array, "*layers"] | float

    def update(self, problem: Restoration, x: Image) -> Image:
        """One denoising, one proximal step of the data term."""
        z = denoised(problem, x, self.sigma)
        return x + problem.data.prox(2 * z - x, number(self.step_size, x)) - z

    def image(self, problem: Restoration, x: Image) -> Image:
        """What the last layer's denoiser makes of v."""
        solver, problem = self.at(problem, LAST)
        return denoised(problem, x, solver.sigma)
