"""Plug-and-play primal-dual: no system is solved, whatever the operator."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.tree_util import tree_map
from jaxtyping import Array, Float

from unrolljax.core import trees
from unrolljax.imaging.data_terms.gaussian import Gaussian
from unrolljax.imaging.operators.operator import Measured
from unrolljax.imaging.restoration import Image, Restoration
from unrolljax.imaging.solvers.plug_and_play import PlugAndPlay, denoised, number


class ImageAndMisfit(NamedTuple):
    """An image and its misfit `A x - y`: the multiplier times the noise's variance.

    Both have the units of images, so that one tolerance suits them.
    """

    image: Image
    misfit: Measured


class PnPPrimalDual(PlugAndPlay):
    """`x+ = D(x - step_size A* u, sigma)`, `u <- prox_g*(u + dual_size A (2 x+ - x))`.

    The method of Chambolle & Pock (2011) in which a denoiser D stands for the prior's proximal
    step (Ono 2017), g the Gaussian misfit as a function of A x. The unknown is an
    `ImageAndMisfit`, which holds `sigma_y^2 u` for the noise's deviation sigma_y.

    - `step_size`, `dual_size`: positive, `step_size * dual_size * |A|^2 <= 1`.
    - `sigma`: the denoiser's strength, a standard deviation in grey values.

    Scalars, or one entry for each layer. Raises a ValueError for a data term that is not Gaussian.
    """

    step_size: Float[Array, "*layers"] | float
    dual_size: Float[Array, "*layers"] | float
    sigma: Float[Array, "*layers"] | float

    def update(self, problem: Restoration, x: ImageAndMisfit) -> ImageAndMisfit:
        """The denoiser, extrapolation, the misfit's dual step."""
        data = problem.data
        if not isinstance(data, Gaussian):
            raise ValueError(
                f"PnPPrimalDual needs a Gaussian data term, not {type(data).__name__}: use "
                "PnPProximalGradient."
            )
        variance = number(data.sigma, x.image) ** 2
        slope = data.operator.adjoint(x.misfit) / variance
        image = denoised(problem, x.image - number(self.step_size, x.image) * slope, self.sigma)
        ahead = trees.subtract(data.operator(2 * image - x.image), data.y)
        trust = number(self.dual_size, x.image) * variance
        moved = trees.add_scaled(x.misfit, trust, ahead)
        return ImageAndMisfit(image, trees.scale(1 / (1 + trust), moved))

    def unknown(self, problem: Restoration, image: Image) -> ImageAndMisfit:
        """The image with a misfit of zero."""
        return ImageAndMisfit(image, tree_map(jnp.zeros_like, problem.data.y))

    def image(self, problem: Restoration, x: ImageAndMisfit) -> Image:
        """The image of the pair."""
        del problem
        return x.image
