"""Stein's unbiased risk estimate: the squared error without the truth."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from unrolljax.core.status import Status
from unrolljax.core.stop import Stop
from unrolljax.gradients.mode import GradientMode
from unrolljax.imaging.data_terms.gaussian import Gaussian
from unrolljax.imaging.training.end_to_end import Restorer
from unrolljax.imaging.training.fit import Outcome


def sure(
    estimate: Callable[[Array], Any],
    y: Float[Array, "..."],
    sigma: Float[Array, ""] | float,
    probe: Float[Array, "..."],
    *,
    has_aux: bool = False,
) -> Any:
    """`mean (f(y) - y)^2 - sigma^2 + 2 sigma^2 mean (b f'(y) b)`, f the estimate and b the probe.

    Over noise of standard deviation sigma in y, and probes of independent entries of mean 0 and
    variance 1 (`probes`), its expectation is that of `mean (f(y) - E y)^2` (Stein 1981; Ramani,
    Blu & Unser 2008, whose difference is a directional derivative here). f must be differentiable
    almost everywhere in forward mode, and have no other way to the noise than y.

    - `has_aux`: f returns `(estimate, anything)`, and `sure` the pair of both.
    """
    sigma = jnp.asarray(sigma, y.dtype)
    # jvp's own aux would be cut off every derivative, as it should: diagnostics have none.
    pair = estimate if has_aux else lambda y: (estimate(y), None)
    found, pushed, aux = jax.jvp(pair, (y,), (probe,), has_aux=True)
    divergence = jnp.mean(probe * pushed)
    value = jnp.mean((found - y) ** 2) - sigma**2 + 2 * sigma**2 * divergence
    return (value, aux) if has_aux else value


def probes(key: Array, shape: tuple[int, ...], dtype: Any) -> Float[Array, "..."]:
    """Random signs: of all independent probes those with the least variance (Hutchinson 1990)."""
    return jax.random.rademacher(key, shape, dtype)


class Noisy(NamedTuple):
    """A batch of noisy images, their noise levels, and random probes of the same shape."""

    noisy: Float[Array, "problems height width channels"]
    sigma: Float[Array, " problems"]
    probe: Float[Array, "problems height width channels"]


def denoising_sure(denoiser: Any, source: Any, batch: Noisy) -> Outcome:
    """The estimated squared error of each denoised image: a loss for `fit` without truths."""
    del source

    def one(noisy, sigma, probe):
        return sure(lambda y: denoiser(y, sigma), noisy, sigma, probe)

    errors = jax.vmap(one)(*batch)
    return Outcome(errors, jnp.full(errors.shape, Status.COMPLETED, jnp.int32))


class Unseen(NamedTuple):
    """A batch of Gaussian data terms with real y, and random probes of the shape of y."""

    data: Gaussian
    probe: Float[Array, "problems ..."]


class RestorationSURE(eqx.Module):
    """The estimated squared error of what restorations predict for the measurement, for `fit`.

    `E mean (A x(y) - A x)^2` without x, by `sure` of the map from y to `A x(y)`. It sees nothing
    of the null space of A. Adjoint starts of the solves are part of the map.

    - `gradient`: a mode with forward mode of its own: `Unroll()`, `Implicit(ad="both")`.
    - `stop`: of the solves.
    """

    gradient: GradientMode
    stop: Stop

    def __call__(self, restorer: Restorer, source: Any, batch: Unseen) -> Outcome:
        """The estimate for every problem, in the squared units of y, and the statuses."""
        del source

        def one(data: Gaussian, probe) -> tuple[Array, Int[Array, ""]]:
            def predicted(y):
                seen = dataclasses.replace(data, y=y)
                solution = restorer(seen, gradient=self.gradient, stop=self.stop)
                return data.operator(solution.value), solution.status

            return sure(predicted, data.y, data.sigma, probe, has_aux=True)

        return Outcome(*jax.vmap(one)(*batch))
