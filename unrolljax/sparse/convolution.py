"""Convolutional sparse coding: a signal as a sum of filters, each convolved with its own code."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Complex, Float

from unrolljax.sparse.sensing import SensingOperator


class ConvolutionalSensing(SensingOperator):
    """`y = sum_f d_f * x_f`, circular convolutions, with the analytic weight in closed form.

    A sensing operator whose matrix (positions, filters * positions) is never
    built: products take fast Fourier transforms. A code is a flat vector, filter after filter, each
    over all `shape` positions of a signal (length,) or an image (height, width); a measurement is
    the flat signal.

    In Fourier space `A A^T` is the diagonal `S = sum_f |d_f|^2`, so that the analytic weight (Liu
    et al. 2019, eq. 16; section 4 of theirs approximates it) is exactly the filters `d_f / S`, each
    divided by the mean of `|d_f|^2 / S` over frequencies, which is `w_f^T a_f`.

    - `filters`, `weights`: spectra of the filters and of the analytic weight,
      (filters, *frequencies), as `rfftn` gives them.
    """

    filters: Complex[Array, "filters *frequencies"]
    weights: Complex[Array, "filters *frequencies"]
    shape: tuple[int, ...] = eqx.field(static=True)

    @classmethod
    def of(cls, filters: ArrayLike, shape: tuple[int, ...]) -> "ConvolutionalSensing":
        """Filters (filters, *extent) of norm 1, at most as large as the signal of that shape.

        A filter's first entry meets the code's own position. The weight is computed in float64 and
        given in the precision of the filters. Raises a ValueError unless the filters are finite,
        have norm 1 and together reach every frequency.
        """
        dtype = jnp.result_type(filters)
        known = np.asarray(filters, np.float64)
        _check_filters(known, shape)
        axes = tuple(range(1, known.ndim))
        spectra = np.fft.fftn(known, shape, axes)
        power = np.abs(spectra) ** 2
        total = np.sum(power, axis=0)
        if np.min(total) < 1e-12 * np.max(total):
            raise ValueError(
                "The filters leave a frequency of the signal without energy, so there is no "
                "analytic weight: add a filter that reaches it, a single spike reaches all."
            )
        diagonal = np.mean(power / total, axis=axes, keepdims=True)
        half = shape[-1] // 2 + 1
        kept = jax.dtypes.canonicalize_dtype(np.promote_types(dtype, np.complex64))
        weights = (spectra / total / diagonal)[..., :half]
        return cls(jnp.asarray(spectra[..., :half], kept), jnp.asarray(weights, kept), tuple(shape))

    @property
    def unknowns(self) -> int:
        """Entries of a code."""
        return len(self.filters) * int(np.prod(self.shape))

    @property
    def dtype(self) -> Any:
        """The precision of codes and measurements."""
        return jnp.finfo(self.filters.dtype).dtype

    def measure(self, x: Float[Array, " n"]) -> Float[Array, " m"]:
        """`A x`: the sum of the convolutions."""
        codes = jnp.fft.rfftn(x.reshape(-1, *self.shape), axes=self._axes)
        return self._signal(jnp.sum(self.filters * codes, axis=0)).ravel()

    def correlate(
        self, residual: Float[Array, " m"], blend: Array | None = None
    ) -> Float[Array, " n"]:
        """`W^T r`; with a blend b `((1 - b) W + b A)^T r`."""
        spectra = self.weights
        if blend is not None:
            spectra = spectra + blend.astype(spectra.dtype) * (self.filters - spectra)
        return self._correlate(spectra, residual)

    def transpose(self, residual: Float[Array, " m"]) -> Float[Array, " n"]:
        """`A^T r`: the correlations with the filters."""
        return self._correlate(self.filters, residual)

    def norm(self) -> Float[Array, ""]:
        """The largest singular value of the matrix; step sizes are below its inverse square."""
        power = jnp.real(self.filters * jnp.conj(self.filters))
        return jnp.sqrt(jnp.max(jnp.sum(power, axis=0)))

    @property
    def _axes(self) -> tuple[int, ...]:
        return tuple(range(-len(self.shape), 0))

    def _signal(self, spectrum: Array) -> Array:
        return jnp.fft.irfftn(spectrum, self.shape, self._axes)

    def _correlate(self, spectra: Array, residual: Array) -> Array:
        spectrum = jnp.fft.rfftn(residual.reshape(1, *self.shape), axes=self._axes)
        return self._signal(jnp.conj(spectra) * spectrum).ravel()


def _check_filters(filters: np.ndarray, shape: tuple[int, ...]) -> None:
    """Raise on filters that do not fit the signal, are not finite, or have other norms than 1."""
    extent = filters.shape[1:]
    fits = len(extent) == len(shape) and all(f <= s for f, s in zip(extent, shape, strict=True))
    if filters.ndim < 2 or not fits:
        raise ValueError(
            f"filters of shape {filters.shape} must be (filters, *extent) with an extent of "
            f"{len(shape)} axes, none longer than the signal's shape {tuple(shape)}."
        )
    norms = np.sqrt(np.sum(filters**2, axis=tuple(range(1, filters.ndim))))
    if not np.all(np.abs(norms - 1) <= 1e-3):
        raise ValueError(
            "The filters must be finite and have norm 1; divide each by its norm. Norms found: "
            f"{np.array2string(norms[:5], precision=3)}."
        )
