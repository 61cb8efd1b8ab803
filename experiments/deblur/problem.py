"""The restoration problem: blur, missing pixels, noise, and a prior with learnable weights."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from experiments.deblur.frame import BANDS, analyse

Images = Float[Array, "images h w"]

REFERENCE_NOISE = 0.02


class Weights(eqx.Module):
    """What is learned: a weight per scale and orientation, and how they follow noise and light.

    Band j weighs `exp(log_weight[j]) (sigma / 0.02)^exponent / (1 + brightness / knee)^fade` at a
    pixel: the more noise the more, and less where there is an object than in the dark sky.
    """

    log_weight: Float[Array, " bands"]
    exponent: Float[Array, ""]
    fade: Float[Array, ""]
    log_knee: Float[Array, ""]

    def of_bands(self) -> Float[Array, " bands"]:
        """The weight of every band, at the reference noise in the dark."""
        return jnp.exp(self.log_weight)

    def of_pixels(self, sigma: Float[Array, " images"], brightness: Images) -> Images:
        """The factor of every pixel, at most one for the reference noise."""
        growth = (sigma / REFERENCE_NOISE) ** self.exponent
        fading = (1 + brightness * jnp.exp(-self.log_knee)) ** -self.fade
        return growth[:, None, None] * fading


def initial_weights(scales: int, weight: float) -> Weights:
    """Equal weights for all bands, growing like the noise variance."""
    bands = scales * len(BANDS)
    return Weights(
        jnp.full((bands,), jnp.log(weight)), jnp.asarray(2.0), jnp.asarray(0.5), jnp.log(0.1)
    )


class Observation(eqx.Module):
    """What the telescope saw: images, which pixels are valid, the blur, and the noise level.

    `transfer` is the half-complex Fourier transform of the point spread function, `brightness` a
    smoothed, non-negative guess of the image.
    """

    data: Images
    valid: Images
    transfer: Complex[Array, "h half"]
    sigma: Float[Array, " images"]
    brightness: Images

    def blur(self, images: Images) -> Images:
        """Periodic convolution with the point spread function."""
        spectrum = jnp.fft.rfft2(images) * self.transfer[None]
        return jnp.fft.irfft2(spectrum, s=images.shape[-2:])


class Restoration(eqx.Module):
    """Penalised least squares; all images of a batch are one unknown.

    `|valid (blur x - data)|^2 / 2 + sum_j sum w_j phi(frame_j x)`, with the Charbonnier
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
        per_pixel = jnp.tensordot(self.weights.of_bands(), rounded, 1)
        return jnp.sum(misfit**2) / 2 + jnp.sum(self._pixels() * per_pixel)

    def step_size(self) -> Float[Array, ""]:
        """One over a Lipschitz bound of the gradient; constant to derivatives."""
        largest = jnp.max(self.weights.of_bands()) * jnp.max(self._pixels())
        return jax.lax.stop_gradient(1 / (1 + largest / self.smoothing))

    def _pixels(self) -> Images:
        return self.weights.of_pixels(self.observation.sigma, self.observation.brightness)
