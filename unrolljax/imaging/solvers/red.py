"""Regularisation by denoising."""

from jaxtyping import Array, Float

from unrolljax.imaging.restoration import Image, Restoration
from unrolljax.imaging.solvers.plug_and_play import PlugAndPlay, denoised, number


class REDGradient(PlugAndPlay):
    """`x <- x - step_size * (grad f(x) + weight * (x - D(x, sigma)))`, the weight the problem's.

    - `step_size`: below `2 / (L + weight)` where D is non-expansive, L the Lipschitz constant of
      the data term's gradient.
    - `sigma`: the denoiser's strength, a standard deviation in grey values.

    It seeks a zero of `grad f(x) + weight * (x - D(x))`, which is the gradient of an objective only
    for rare denoisers (Romano, Elad & Milanfar 2017; Reehorst & Schniter 2019). Scalars, or one
    entry for each layer.
    """

    step_size: Float[Array, "*layers"] | float
    sigma: Float[Array, "*layers"] | float

    def update(self, problem: Restoration, x: Image) -> Image:
        """A step against the data term's gradient and the denoiser's residual."""
        pull = number(problem.weight, x) * (x - denoised(problem, x, self.sigma))
        return x - number(self.step_size, x) * (problem.data.gradient(x) + pull)


class REDFixedPoint(PlugAndPlay):
    """`x <- prox_f(D(x, sigma), 1 / weight)`: the equation of `REDGradient`, solved in turn.

    For a quadratic data term it is the fixed-point method of Romano, Elad & Milanfar (2017); for
    any other, one with a proximal step (Reehorst & Schniter 2019, RED-PG with L = 1). No step size
    is needed, and it finds a fixed point where D is averaged. The weight must be positive.
    """

    sigma: Float[Array, "*layers"] | float

    def update(self, problem: Restoration, x: Image) -> Image:
        """The denoiser, then the data term's proximal step."""
        return problem.data.prox(denoised(problem, x, self.sigma), 1 / number(problem.weight, x))
