"""Masks of frequencies, and what a scanner with one coil measures through them."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from numpy.typing import NDArray

from unrolljax.imaging.data_terms import Gaussian
from unrolljax.imaging.operators import Fourier
from unrolljax.imaging.training import Halves, split_mask
from unrolljax.imaging.training.images import grey

DECAY = 3
"""Chances of frequencies fall as this power of the distance to the highest one (Lustig 2007)."""


class Scanner(eqx.Module):
    """How a picture is measured: `y = mask F x + noise`, a new mask for every picture.

    - `mask`: "columns", all frequencies of some columns, or "random", some of all frequencies: the
      two phase directions of a volume. Low ones are likelier. Pictures are real: each frequency
      also tells its mirror image.
    - `acceleration`: frequencies over measured ones.
    - `centre`: the share of all frequencies, the lowest, that is always measured.
    - `noise`: standard deviation of real and imaginary part, in grey values.
    """

    mask: str = eqx.field(static=True)
    acceleration: float = eqx.field(static=True)
    centre: float = eqx.field(static=True)
    noise: float = eqx.field(static=True)

    def scan(self, truth: Float[Array, "height width 1"], key: Array) -> Gaussian:
        """The measurement of one picture, as a data term."""
        drawn, noise = jax.random.split(key)
        height, width, channels = truth.shape
        everywhere = Fourier(jnp.ones((height, width), bool), (height, width, channels))
        parts = self.noise * jax.random.normal(noise, (2, *truth.shape), truth.dtype)
        y = everywhere(truth) + jax.lax.complex(parts[0], parts[1])
        data = Gaussian(everywhere, y, jnp.asarray(self.noise, truth.dtype))
        return _through(data, self.draw((height, width), drawn))

    def draw(self, shape: tuple[int, int], key: Array) -> Bool[Array, "height width"]:
        """A mask; frequency zero is at [0, 0].

        Drawn without replacement, by the largest sums of a log-probability and a Gumbel number.
        """
        distance = _distance(self.mask, shape)
        score = DECAY * jnp.log1p(-jnp.asarray(distance.ravel()))
        score += jax.random.gumbel(key, score.shape, score.dtype)
        score = jnp.where(self.lowest(shape)[: len(distance)].ravel(), jnp.inf, score)
        count = round(distance.size / self.acceleration)
        chosen = jnp.zeros(score.size, bool).at[jax.lax.top_k(score, count)[1]].set(True)
        return jnp.broadcast_to(chosen.reshape(distance.shape), shape)

    def lowest(self, shape: tuple[int, int]) -> Bool[np.ndarray, "height width"]:
        """The frequencies that are always measured."""
        distance = _distance(self.mask, shape)
        return np.broadcast_to(distance <= np.quantile(distance, self.centre), shape)

    def split(self, data: Gaussian, key: Array, share: float) -> Halves:
        """What is restored from, with that share and all of the centre, and what judges it.

        Without the centre no brightness is known (Yaman et al. 2020 keep it as well).
        """
        second: Any = split_mask(data, key, share).second
        judging = second.operator.mask & ~self.lowest(data.operator.shape[:2])
        return Halves(_through(data, ~judging), _through(data, judging))


def held_out(size: int) -> NDArray:
    """The cameraman, of so many pixels a side; no denoiser of the package has seen it."""
    parts = 512 // size
    return grey("camera").reshape(size, parts, size, parts).mean((1, 3))


def _through(data: Gaussian, mask: Bool[Array, "height width"]) -> Gaussian:
    """What is left of a measurement by a further mask."""
    operator: Any = data.operator
    operator = Fourier(operator.mask & mask, operator.shape)
    return Gaussian(operator, jnp.where(operator.mask[..., None], data.y, 0), data.sigma)


def _distance(mask: str, shape: tuple[int, int]) -> NDArray:
    """Of each candidate (column or frequency) to frequency zero, in [0, 1)."""
    rows, columns = (2 * np.abs(np.fft.fftfreq(n)) for n in shape)
    if mask == "columns":
        return columns[None] / (1 + 1 / shape[1])
    return np.hypot(rows[:, None], columns[None]) / np.sqrt(2) / (1 + 1 / max(shape))
