"""The restoration problem: blur, missing pixels, noise, and a prior with learnable weights."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from experiments.deblur.frame import ORIENTATIONS, analyse

REFERENCE_NOISE = 0.02
Images = Float[Array, "images h w"]


class Weights(eqx.Module):
    """What is learned: a weight per scale and orientation, and how they grow with the noise.

    The weight of band j at noise level sigma is `exp(log_weight[j]) (sigma / 0.02)^exponent`.
    """

    log_weight: Float[Array, " bands"]
    exponent: Float[Array, ""]

    def at(self, sigma: Float[Array, " images"]) -> Float[Array, "bands images"]:
        """The weight of every band for every image."""
        growth = (sigma / REFERENCE_NOISE) ** self.exponent
        return jnp.outer(jnp.exp(self.log_weight), growth)


def initial_weights(scales: int, weight: float) -> Weights:
    """Equal weights for all bands, growing like the noise variance."""
    bands = scales * len(ORIENTATIONS)
    return Weights(jnp.full((bands,), jnp.log(weight)), jnp.asarray(2.0))


class Observation(eqx.Module):
    """What the telescope saw: images, which pixels are valid, the blur, and the noise level.

    `transfer` is the half-complex Fourier transform of the point spread function.
    """

    data: Images
    valid: Images
    transfer: Complex[Array, "h half"]
    sigma: Float[Array, " images"]

    def blur(self, images: Images) -> Images:
        """Periodic convolution with the point spread function."""
        spectrum = jnp.fft.rfft2(images) * self.transfer[None]
        return jnp.fft.irfft2(spectrum, s=images.shape[-2:])


class Restoration(eqx.Module):
    """Penalised least squares; all images of a batch are one unknown.

    `|valid (blur x - data)|^2 / 2 + sum_j w_j(sigma) sum phi(frame_j x)`, with the Charbonnier
    function `phi(t) = sqrt(t^2 + eps^2) - eps`, which is smooth at zero, where the l1 norm is not:
    the objective is twice differentiable and implicit differentiation is exact.
    """

    observation: Observation
    weights: Weights
    smoothing: Float[Array, ""]
    scales: int = eqx.field(static=True)

    def objective(self, images: Images) -> Float[Array, ""]:
        """The value at a batch of images."""
        misfit = self.observation.valid * (self.observation.blur(images) - self.observation.data)
        bands = analyse(images, self.scales)
        rounded = jnp.sqrt(bands**2 + self.smoothing**2) - self.smoothing
        weights = self.weights.at(self.observation.sigma)
        return jnp.sum(misfit**2) / 2 + jnp.sum(weights[:, :, None, None] * rounded)

    def step_size(self) -> Float[Array, ""]:
        """One over a Lipschitz bound of the gradient; constant to derivatives."""
        steepest = jnp.max(self.weights.at(self.observation.sigma)) / self.smoothing
        return jax.lax.stop_gradient(1 / (1 + steepest))
