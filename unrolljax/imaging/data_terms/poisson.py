"""Counts of photons: Poisson noise, with a background."""

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from unrolljax.imaging.data_terms.data_term import (
    DataTerm,
    as_float,
    back_projected,
    check_data,
)
from unrolljax.imaging.operators.checks import as_array, check_at_least, check_finite
from unrolljax.imaging.operators.operator import Image, Operator


class Poisson(DataTerm):
    """The Kullback-Leibler divergence of counts y from the rates `peak A x + background`.

    `sum(rate - y + y log(y / rate))`, zero for a perfect fit. Where `A x` is negative, which no
    scene is but an iterate may be, the divergence goes on as its parabola at A x = 0 (Chambolle,
    Ehrhardt, Richtarik & Schonlieb 2018), so that it is convex and its gradient Lipschitz wherever
    there is a background; without one it is infinite there, except where nothing was counted.

    - `y`: counts, at least 0.
    - `background`: expected counts that are not the scene's, at least 0; a number, or one for each
      entry of y.
    - `peak`: expected counts for a grey value of 1.
    """

    operator: Operator
    y: Float[Array, "..."] = eqx.field(converter=as_float)
    background: Float[Array, "..."] = eqx.field(converter=as_array, default=0.0)
    peak: Float[Array, ""] = eqx.field(converter=as_array, default=1.0)

    def __check_init__(self):
        check_data(self, "Poisson")
        check_at_least(self.y, 0, "Poisson(y), counts,")
        check_levels(self.background, self.peak, self.y, "Poisson")

    def value(self, x: Image) -> Float[Array, ""]:
        """The divergence of y from the rates of an image."""
        y, signal = self.y, self._signal(x)
        level, over = self._background(), jnp.maximum(signal, 0)
        rate, under = level + over, signal - over
        safe = jnp.where(y > 0, y, 1)
        divergence = rate - y + y * jnp.log(safe / _positive(rate, y))
        slope, curvature = self._at_zero(level)
        parabola = (slope + curvature / 2 * under) * under
        beneath = jnp.where(self._bounded(), parabola, jnp.where(under < 0, jnp.inf, 0))
        return jnp.sum(divergence + beneath)

    def gradient(self, x: Image) -> Image:
        """`peak A* (1 - y / rate)`, and the parabola's slope where A x is negative."""
        return self._peak() * self.operator.apply_adjoint(self._slopes(self._signal(x)))

    def prox(self, v: Image, step: ArrayLike) -> Image:
        """The root of a quadratic equation for each pixel, for a diagonal operator.

        Raises a ValueError for any other operator: a blur's has no closed form.
        """
        diagonal = self.operator.diagonal()
        if diagonal is None:
            raise ValueError(
                f"Poisson.prox is known for diagonal operators only, not for "
                f"{type(self.operator).__name__}. Use a solver that takes gradients "
                "(PnPProximalGradient, REDGradient, ProximalGradient, with background > 0) or "
                "RichardsonLucy."
            )
        gain, step = self._peak() * diagonal.astype(v.dtype), jnp.asarray(step, v.dtype)
        level, (slope, curvature) = self._background(), self._at_zero(self._background())
        used, counted = gain != 0, self.y > 0
        # rate^2 + linear rate = constant; numbers that are not used are kept off the root's kink.
        constant = jnp.where(used & counted, step * gain**2 * self.y, 1)
        linear = step * gain**2 - level - gain * v
        root = jnp.sqrt(linear**2 + 4 * constant)
        rate = jnp.where(linear > 0, 2 * constant / (root + jnp.abs(linear)), (root - linear) / 2)
        inside = v - step * gain * (1 - self.y / rate)
        beneath = (v - step * gain * slope) / (1 + step * gain**2 * curvature)
        x = jnp.where(counted & (rate >= level), inside, beneath)
        return jnp.where(used, x, v)

    def start(self) -> Image:
        """The multiple of `A*` of the counts over the background that explains them best."""
        signal = jnp.maximum(self.y - self._background(), 0) / self._peak()
        return back_projected(self.operator, signal)

    def lipschitz(self) -> Float[Array, ""]:
        """`peak^2 |A|^2 max(y / background^2)`; infinite without a background."""
        _, curvature = self._at_zero(self._background())
        size = self._peak() * self.operator.norm().astype(self.y.dtype)
        return size**2 * jnp.max(jnp.where(self._bounded(), curvature, jnp.inf))

    def mirror_step(self, x: Image) -> Image:
        """Richardson-Lucy's step, `x / (A* 1) A*(y / rate)` for y / rate in units of the peak.

        Expectation maximisation for a non-negative x and A (Shepp & Vardi 1982): no step makes
        the likelihood smaller. Pixels that nothing measures keep their values. Quotients by rates
        that are zero but for rounding are left out.
        """
        rate = self._signal(x) + self._background()
        visible = rate > 10 * jnp.finfo(rate.dtype).eps * jnp.max(rate)
        ratio = jnp.where(visible, self.y / jnp.where(visible, rate, 1), 0)
        sensitivity = self.operator.apply_adjoint(jnp.ones_like(self.y))
        seen = sensitivity > 10 * jnp.finfo(rate.dtype).eps * jnp.max(sensitivity)
        factor = self.operator.apply_adjoint(ratio) / jnp.where(seen, sensitivity, 1)
        return x * jnp.where(seen, jnp.maximum(factor, 0), 1)

    def _signal(self, x: Image) -> Float[Array, "..."]:
        """Expected counts from the scene."""
        return self._peak() * self.operator(x)

    def _slopes(self, signal: Float[Array, "..."]) -> Float[Array, "..."]:
        """The derivative of each entry's divergence in its signal."""
        level, over = self._background(), jnp.maximum(signal, 0)
        slope, curvature = self._at_zero(level)
        inside = 1 - self.y / _positive(level + over, self.y)
        beneath = jnp.where(self._bounded(), slope + curvature * (signal - over), -jnp.inf)
        return jnp.where(signal < 0, beneath, inside)

    def _at_zero(self, level: Float[Array, "..."]) -> tuple[Array, Array]:
        """Slope and curvature of each entry's divergence where its signal is zero and bounded."""
        rate = jnp.where(self._bounded() & (level > 0), level, 1)
        return 1 - self.y / rate, self.y / rate**2

    def _bounded(self) -> Bool[Array, "..."]:
        """Where the divergence is finite for a signal of zero."""
        return (self.y == 0) | (self._background() > 0)

    def _background(self) -> Float[Array, "..."]:
        return jnp.broadcast_to(self.background.astype(self.y.dtype), self.y.shape)

    def _peak(self) -> Float[Array, ""]:
        return self.peak.astype(self.y.dtype)


def check_levels(background: Array, peak: Array, y: Array, name: str) -> None:
    """Raise unless background and peak are finite, of the right shapes and signs."""
    if jnp.shape(background) not in ((), jnp.shape(y)):
        raise ValueError(
            f"{name}(background) of shape {jnp.shape(background)} must be one number or of y's "
            f"shape {jnp.shape(y)}."
        )
    check_finite(background, f"{name}(background)")
    check_at_least(background, 0, f"{name}(background)")
    if jnp.ndim(peak):
        raise ValueError(f"{name}(peak) of shape {jnp.shape(peak)} must be one number.")
    check_finite(peak, f"{name}(peak)")
    check_at_least(peak, 0, f"{name}(peak)", strictly=True)


def _positive(rate: Array, y: Array) -> Array:
    """The rate where something was counted, 1 elsewhere: a quotient without 0 / 0."""
    return jnp.where(y > 0, rate, 1)
