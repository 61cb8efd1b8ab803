"""Line integrals along parallel rays: computed tomography."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from unrolljax.imaging.operators.checks import (
    as_array,
    check_finite,
    check_image_shape,
    concrete,
)
from unrolljax.imaging.operators.joseph import Sinogram, project, reach
from unrolljax.imaging.operators.operator import Image, Operator


class Radon(Operator):
    """The sinogram of an image: its integrals along parallel rays, seen from several angles.

    Ray b of angle a is the line `c cos(a) - r sin(a) = b - bins // 2`, in pixels, with rows r and
    columns c counted from the pixel (height // 2, width // 2): the angles of
    `skimage.transform.radon`, in radians. Outside of the image are zeros. By Joseph's method
    (1982): linear interpolation where a ray passes between two pixels. Continuous in the angles,
    with kinks where a ray meets the centre of a pixel.

    - `angles`: (count,), in radians.
    - `shape`: (height, width, channels) of the image.
    """

    angles: Float[Array, " count"] = eqx.field(converter=as_array)
    shape: tuple[int, int, int] = eqx.field(static=True)

    def __check_init__(self):
        check_image_shape(self.shape, "Radon")
        extent, kind = jnp.shape(self.angles), jnp.result_type(self.angles)
        if len(extent) != 1 or not extent[0]:
            raise ValueError(f"Radon(angles) of shape {extent} must be (count,), at least one.")
        if concrete(self.angles) is not None and not jnp.issubdtype(kind, jnp.floating):
            raise ValueError(f"Radon(angles) must be float, in radians, not {kind}.")
        check_finite(self.angles, "Radon(angles)")

    @property
    def bins(self) -> int:
        """Rays of each angle, one pixel apart: enough to see every pixel from everywhere."""
        return 2 * reach(self.shape[:2]) + 1

    def apply(self, x: Image) -> Sinogram:
        """What each ray sees of each channel."""
        return project(self.angles, x)
