"""Learned ISTA with a threshold for each band of codes, such as the bands of wavelets."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from unrolljax import prox
from unrolljax.sparse.networks.network import LayerState, Network
from unrolljax.sparse.networks.stack import stacked
from unrolljax.sparse.sensing import Recovery, Sensing


class BandLayer(NamedTuple):
    """Learned numbers, positive by their logarithms; `weight` is absent in the form of scalars."""

    log_step: Float[Array, " layers"]
    log_momentum: Float[Array, " layers"]
    log_threshold: Float[Array, "layers bands"]
    weight: Float[Array, "layers m n"] | None = None


class BandLISTA(Network):
    """`x <- soft(x - step W^T (A x - y) + momentum (x - x_before), threshold_band s)`.

    s = step mean |W^T (A x - y)|, so that bright and faint signals are treated alike. Codes of
    images are not sparse alike in all bands: coarse ones are larger, which one threshold for all
    cannot know. W is the sensing operator's, for images best the Wiener weight, or, in the form
    with matrices, learned for each layer and started from it.

    - `bands`: to each entry the number of its band, from 0.
    """

    layers: BandLayer
    bands: Int[Array, " n"]

    @classmethod
    def start(
        cls,
        sensing: Sensing,
        depth: int,
        bands: ArrayLike,
        threshold: float = 0.05,
        momentum: float = 0.05,
        matrices: bool = False,
    ) -> "BandLISTA":
        """Equal layers; steps by which the iteration without thresholds converges.

        Raises a ValueError unless `bands` numbers every entry of a code.
        """
        known = np.asarray(bands)
        if known.shape != (sensing.unknowns,) or known.dtype.kind not in "iu" or known.min() < 0:
            raise ValueError(
                f"bands must give one number from 0 to each of the {sensing.unknowns} entries of a "
                f"code; got shape {known.shape}, type {known.dtype}."
            )
        A, W = (np.asarray(matrix, np.float64) for matrix in (sensing.A, sensing.W))
        step = 1 / np.max(np.abs(np.linalg.eigvals(A @ W.T)))
        numbers = (step, momentum, np.full(known.max() + 1, threshold))
        logs = [jnp.asarray(np.log(number), sensing.dtype) for number in numbers]
        layer = BandLayer(*logs, weight=sensing.W if matrices else None)
        return cls(stacked(layer, depth), jnp.asarray(known, jnp.int32))

    def apply(self, layer: BandLayer, problem: Recovery, state: LayerState) -> Float[Array, " n"]:
        """One layer."""
        residual = problem.residual(state.x)
        sensing = problem.sensing
        slope = sensing.correlate(residual) if layer.weight is None else layer.weight.T @ residual
        move = jnp.exp(layer.log_step) * slope
        inertia = jnp.exp(layer.log_momentum) * (state.x - state.previous)
        threshold = jnp.exp(layer.log_threshold)[self.bands] * jnp.mean(jnp.abs(move))
        return prox.l1(state.x - move + inertia, threshold)
