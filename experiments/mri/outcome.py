"""The held-out picture as each method restores it."""

from typing import NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray

import unrolljax as uj
from experiments.mri.classical import best_weight, by_total_variation
from unrolljax.core.status import Status
from unrolljax.imaging.data_terms import Gaussian
from unrolljax.imaging.training import Measured, Restorer


class Gallery(NamedTuple):
    """The pictures by method, the truth among them; the mask; how the solves ended."""

    pictures: dict[str, NDArray]
    mask: NDArray
    status: dict[str, str]


def gallery(
    before: Restorer,
    after: Restorer,
    stop: uj.Stop,
    data: Gaussian,
    truth: Float[Array, "height width 1"],
    training: Measured,
) -> Gallery:
    """Every method on one scan of the truth; the prior's weight is chosen on those of training."""
    weight = best_weight(float(data.sigma), training)
    solutions = {"total variation": eqx.filter_jit(by_total_variation)(data, weight)}
    for name, restorer in (("plug-and-play", before), ("trained", after)):
        solutions[name] = eqx.filter_jit(restorer)(data, gradient=uj.Detach(), stop=stop)
    images = {"truth": truth, "zero-filled": data.operator.adjoint(data.y)}
    images |= {name: solution.value for name, solution in solutions.items()}
    pictures = {name: np.asarray(image[..., 0]) for name, image in images.items()}
    mask = np.asarray(data.operator.mask)  # pyright: ignore
    status = {name: Status(int(found.status)).name for name, found in solutions.items()}
    return Gallery(pictures, mask, status)
