"""How near a restored image is to the truth, in the two numbers that imaging papers print."""

import dm_pix
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from unrolljax.imaging.restoration import Image


def scores(image: ArrayLike, truth: Image) -> dict[str, float]:
    """PSNR in dB and SSIM (Wang et al. 2004), by dm_pix, of grey values in [0, 1].

    Both of shape (height, width, channels), with at least 11 pixels along each side.
    """
    image, truth = (jnp.asarray(v) for v in (image, truth))
    if image.shape != truth.shape:
        raise ValueError(f"image has shape {image.shape}, the truth {truth.shape}.")
    # The library counts on implicit promotion, which a user may have forbidden.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        ratio, similarity = dm_pix.psnr(image, truth), dm_pix.ssim(image, truth)
    return {"PSNR dB": float(ratio), "SSIM": float(similarity)}
