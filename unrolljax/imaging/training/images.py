"""The photographs that come with scikit-image, and pictures made of them, to train on.

Two are never trained on: `camera` and `hubble_deep_field`.
"""

import numpy as np
import skimage.data
import skimage.transform
from jaxtyping import Float, UInt8

from unrolljax.imaging.training.dead_leaves import dead_leaves
from unrolljax.imaging.training.night_skies import night_sky

COLOUR = (
    "astronaut", "chelsea", "coffee", "immunohistochemistry", "retina", "rocket",
)  # fmt: skip
GREY = ("brick", "cell", "clock", "coins", "grass", "gravel", "moon", "page", "text")
HELD_OUT = ("camera", "hubble_deep_field")

Tiles = UInt8[np.ndarray, "count size size"]

FAINT = 6
"""Tiles whose grey levels (of 255) deviate less than this teach nothing."""

_LUMINANCE = np.asarray([0.2125, 0.7154, 0.0721], np.float32)


def photographs() -> list[Float[np.ndarray, "height width channels"]]:
    """All but the held-out ones, in [0, 1], with one channel or three."""
    pictures = [getattr(skimage.data, name)() for name in (*COLOUR, *GREY)]
    pictures += list(skimage.data.stereo_motorcycle()[:2])
    return [np.atleast_3d(picture).astype(np.float32) / 255 for picture in pictures]


def grey(name: str) -> Float[np.ndarray, "height width"]:
    """One picture of scikit-image in grey (luminance), in [0, 1]."""
    picture = np.atleast_3d(getattr(skimage.data, name)()).astype(np.float32) / 255
    return _greys(picture)[0]


def tiles(
    count: int, size: int = 128, drawn: float = 0.3, skies: float = 0.1, seed: int = 0
) -> Tiles:
    """Grey squares to cut patches from: dead leaves, night skies, the rest photographs.

    Those of photographs, at three scales, are drawn at random, busy ones more often: smooth
    backgrounds would be the majority otherwise.

    - `drawn`, `skies`: the shares of dead leaves and of night skies.
    """
    if min(drawn, skies) < 0 or drawn + skies > 1:
        raise ValueError(f"drawn={drawn} and skies={skies} are shares: from 0, in all at most 1.")
    rng = np.random.default_rng(seed)
    pictures = photographs()
    greys = [_greys(picture)[0] for picture in pictures]
    leaves = [_as_bytes(dead_leaves(rng, size, greys)) for _ in range(round(drawn * count))]
    nights = [_as_bytes(night_sky(rng, size)) for _ in range(round(skies * count))]
    found = _of_photographs(pictures, size)
    change = np.abs(np.diff(found.astype(np.float32), axis=1)).mean((1, 2))
    weight = np.sqrt(change) * (found.std((1, 2)) > FAINT)
    chosen = rng.choice(len(found), count - len(leaves) - len(nights), p=weight / weight.sum())
    return np.stack([*found[chosen], *leaves, *nights])


def _of_photographs(
    pictures: list[np.ndarray], size: int, scales: tuple[float, ...] = (1.0, 0.7, 0.5)
) -> Tiles:
    """Squares that overlap by half; of colour: the luminance and two of the channels."""
    found = []
    for picture in pictures:
        for scale in scales:
            small = skimage.transform.rescale(picture, scale, channel_axis=-1, anti_aliasing=True)
            for one in _greys(small):
                found += _squares(_as_bytes(one), size)
    return np.stack(found)


def _greys(picture: np.ndarray) -> list[np.ndarray]:
    if picture.shape[-1] == 1:
        return [picture[..., 0]]
    return [picture @ _LUMINANCE, picture[..., 0], picture[..., 2]]


def _as_bytes(picture: np.ndarray) -> UInt8[np.ndarray, "height width"]:
    return np.round(255 * np.clip(picture, 0, 1)).astype(np.uint8)


def _squares(picture: np.ndarray, size: int) -> list[np.ndarray]:
    height, width = picture.shape
    corners = [(top, left) for top in _starts(height, size) for left in _starts(width, size)]
    return [picture[top : top + size, left : left + size] for top, left in corners]


def _starts(length: int, size: int) -> list[int]:
    """The first pixels of squares that overlap by half and reach the end."""
    if length < size:
        return []
    return sorted({*range(0, length - size + 1, size // 2), length - size})
