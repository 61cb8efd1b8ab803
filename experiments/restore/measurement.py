"""A picture as a measurement: grey values, the noise of each pixel, and which were seen."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter
from skimage.restoration import estimate_sigma

from experiments.restore.pictures import BadInput

PERCENTILES = 0.1, 99.9
"""Of the pixels seen, these become the grey values 0 and 1."""

FAINTEST = 1e-6
"""The least noise, in grey values, that single precision can weigh by."""

SMOOTHING = 1.0
"""Pixels over which the signal is averaged whose counts are noisy."""

NEGATIVE = 0.01
"""The share of pixels far below zero with which a picture holds no counts."""

ESTIMATED = "estimated by skimage.restoration.estimate_sigma"

Values = Float[np.ndarray, "height width channels"]


class Scale(NamedTuple):
    """Values of the picture that become the grey values 0 and 1."""

    zero: float
    one: float

    @property
    def span(self) -> float:
        """One grey value in the picture's units."""
        return self.one - self.zero


class Measurement(NamedTuple):
    """What was measured, in grey values.

    - `y`: pixels that were not seen have the value of the nearest that was.
    - `deviation`: the noise's standard deviation, by pixel; `noise`: its median, by channel.
    - `readout`: the part of it that does not depend on the signal, by channel.
    - `peak`: electrons for a grey value of 1; None where it is not known.
    - `found`: how the noise was found.
    """

    y: Values
    seen: Bool[np.ndarray, "height width channels"]
    deviation: Values
    noise: Float[np.ndarray, " channels"]
    readout: Float[np.ndarray, " channels"]
    scale: Scale
    peak: float | None
    found: str


def measure(
    values: Values,
    ignored: Bool[np.ndarray, "height width"] | None,
    noise: float | None,
    gain: float | None,
    from_zero: bool,
) -> Measurement:
    """Scale a picture and weigh its pixels.

    - `ignored`: pixels not to be used, with those that are not finite.
    - `noise`: a standard deviation in the picture's units; estimated for None.
    - `gain`: electrons for one unit of the picture: the variance is `signal / gain + noise^2`.
    - `from_zero`: whether a value of zero stays zero, as for methods of multiplication.

    Raises BadInput where nothing is seen or varies, the noise is not positive, or counts are not.
    """
    seen = np.isfinite(values)
    if ignored is not None:
        seen &= ~ignored[..., None]
    if not seen.any((0, 1)).all():
        raise BadInput("No pixel of the picture is left: all are masked or no numbers.")
    filled = np.stack([_filled(*pair) for pair in zip(values.T, seen.T, strict=True)]).T
    scale = _scale(values[seen], from_zero)
    readout, found = _noise(filled, noise, FAINTEST * scale.span)
    variance = np.broadcast_to(readout**2, values.shape)
    if gain is not None:
        signal = _signal(filled, readout, gain)
        if noise is None:
            readout, found = _beside_counts(readout, signal, gain)
        variance = signal / gain + readout**2
    deviation = np.sqrt(variance) / scale.span
    typical = [np.median(d[s]) for d, s in zip(deviation.T, seen.T, strict=True)]
    return Measurement(
        y=(filled - scale.zero) / scale.span,
        seen=seen,
        deviation=deviation,
        noise=np.asarray(typical),
        readout=readout / scale.span,
        scale=scale,
        peak=None if gain is None else gain * scale.span,
        found=found,
    )


def _filled(values: NDArray, seen: NDArray) -> NDArray:
    """Each pixel that was not seen with the value of the nearest one that was."""
    if seen.all():
        return values
    nearest: Any = distance_transform_edt(~seen, return_distances=False, return_indices=True)
    return values[tuple(nearest)]


def _scale(values: NDArray, from_zero: bool) -> Scale:
    zero, one = map(float, np.percentile(values, PERCENTILES))
    if from_zero:
        zero = 0.0
    if not one > zero:
        told = "has no values above zero" if from_zero else "is constant"
        raise BadInput(f"The picture {told}: there is nothing to restore.")
    return Scale(zero, one)


def _noise(filled: Values, given: float | None, least: float) -> tuple[NDArray, str]:
    """The noise of each channel, in the picture's units."""
    channels = filled.shape[-1]
    if given is not None:
        if not least <= given < np.inf:
            raise BadInput(f"--noise {given:g} must be a number above {least:.1g} here.")
        return np.full(channels, given), "given"
    estimates = [float(estimate_sigma(filled[..., k])) for k in range(channels)]
    if not min(estimates) >= least:
        raise BadInput("The noise is estimated to be zero: say what it is, --noise NUMBER.")
    return np.asarray(estimates), ESTIMATED


def _signal(filled: Values, noise: NDArray, gain: float) -> Values:
    """What counts were expected, roughly: averaged over near pixels, at least zero."""
    if not 0 < gain < np.inf:
        raise BadInput(f"--counts {gain:g} must be a positive number of electrons per unit.")
    if np.mean(filled < -5 * noise) > NEGATIVE:
        raise BadInput(
            "--counts: the picture is negative beyond its noise; counts include the sky."
        )
    return np.maximum(gaussian_filter(filled, (SMOOTHING, SMOOTHING, 0)), 0)


def _beside_counts(total: NDArray, signal: Values, gain: float) -> tuple[NDArray, str]:
    """The noise that counts do not explain, one electron at least."""
    rest = total**2 - np.median(signal, (0, 1)) / gain
    told = f"{ESTIMATED}, less that of the median signal's counts, one electron at least"
    return np.sqrt(np.maximum(rest, gain**-2.0)), told
