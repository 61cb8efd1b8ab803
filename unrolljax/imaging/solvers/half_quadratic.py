"""Half-quadratic splitting."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from unrolljax.imaging.restoration import Image, Restoration
from unrolljax.imaging.solvers.plug_and_play import PlugAndPlay, denoised, number

FIRST_SIGMA = 49 / 255
"""Where the schedule of DPIR starts."""


class HalfQuadratic(PlugAndPlay):
    """`x <- D(prox_f(x, step_size), sigma)`, f the data term and D the denoiser.

    - `step_size`: positive, the inverse of the splitting's penalty.
    - `sigma`: the denoiser's strength, a standard deviation in grey values.

    Tied, it finds a fixed point where D is averaged, whatever the step; untied, the numbers follow
    a schedule (`annealed`) or are learned. Geman & Yang 1995; Zhang et al. 2017, 2021.
    """

    step_size: Float[Array, "*layers"] | float
    sigma: Float[Array, "*layers"] | float

    @classmethod
    def annealed(
        cls, noise: ArrayLike, layers: int = 8, trust: ArrayLike = 0.23, dtype=jnp.float32
    ) -> "HalfQuadratic":
        """The schedule of DPIR (Zhang et al. 2021, section 4.2), as so many untied layers.

        sigma falls from 49/255 to the noise in equal ratios. The data step of a layer weighs its
        distance from the layer before with `trust * noise^2 / sigma^2`; in our terms, where a
        Gaussian data term is `|A x - y|^2 / (2 noise^2)`, the step size is `sigma^2 / trust`.

        - `noise`: standard deviation in grey values, positive.
        - `layers`: static; at least 1.
        - `trust`: the paper's lambda.
        """
        if layers < 1:
            raise ValueError(f"HalfQuadratic.annealed(layers={layers}) must be at least 1.")
        last = jnp.log(jnp.asarray(noise, dtype))
        sigma = jnp.exp(jnp.linspace(jnp.log(jnp.asarray(FIRST_SIGMA, dtype)), last, layers))
        return cls(sigma**2 / jnp.asarray(trust, dtype), sigma)

    def update(self, problem: Restoration, x: Image) -> Image:
        """The data term's proximal step, then the denoiser."""
        explained = problem.data.prox(x, number(self.step_size, x))
        return denoised(problem, explained, self.sigma)
