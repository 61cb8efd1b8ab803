"""One measurement split into two that are independent: restore the one, judge by the other."""

import dataclasses
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.tree_util import tree_leaves, tree_map, tree_structure, tree_unflatten
from jaxtyping import Array, Float

from unrolljax.core.stop import Stop
from unrolljax.gradients.mode import GradientMode
from unrolljax.imaging.data_terms.data_term import DataTerm
from unrolljax.imaging.data_terms.gaussian import Gaussian
from unrolljax.imaging.data_terms.poisson import Poisson
from unrolljax.imaging.training.end_to_end import Restorer
from unrolljax.imaging.training.equilibrium import stretch
from unrolljax.imaging.training.fit import Outcome

Share = Float[Array, ""] | float


class Halves(NamedTuple):
    """Two data terms of one image with independent noise; in a batch, with a leading axis."""

    first: DataTerm
    second: DataTerm


class Splitting(eqx.Module):
    """How badly the restoration of the first half explains the second, as a loss for `fit`.

    `second.value(x(first)) / size(y)`, a mean negative log-likelihood. As the noise of the second
    half is independent of the first, its expectation differs from that of noiseless data by a
    constant: training by it is training by predictions of the measurement's mean, without truths.

    - `gradient`, `stop`: as of `EndToEnd`.
    - `penalty`: None, or the weight of `jacobian_penalty`, as of `Equilibrium`, in the units of
      the misfit: for implicit gradients, which are right at fixed points only.
    """

    gradient: GradientMode
    stop: Stop
    penalty: Float[Array, ""] | float | None = None

    def __call__(self, restorer: Restorer, source: Any, batch: Halves) -> Outcome:
        """The misfit of every problem, and the statuses."""
        del source

        def one(first, second):
            solution = restorer(first, gradient=self.gradient, stop=self.stop)
            size = sum(leaf.size for leaf in tree_leaves(second.y))
            misfit = second.value(solution.value) / size
            if self.penalty is not None:
                weight = jnp.asarray(self.penalty).astype(misfit.dtype)
                misfit += weight * stretch(restorer, solution)
            return misfit, solution.status

        return Outcome(*jax.vmap(one)(*batch))


def split_gaussian(data: Gaussian, key: Array, share: Share = 0.5) -> Halves:
    """Noise is added to y twice, such that the two sums have independent noise.

    With a draw w of y's own noise and `a^2 = (1 - share) / share`: `y + a w` of variance
    `sigma^2 / share`, and `y - w / a` of variance `sigma^2 / (1 - share)` (Pang et al. 2021).
    Raises ValueError unless 0 < share < 1.
    """
    _check(share, "split_gaussian")
    keys = jax.random.split(key, len(tree_leaves(data.y)))
    keys = tree_unflatten(tree_structure(data.y), list(keys))
    ratio = jnp.sqrt((1 - jnp.asarray(share)) / jnp.asarray(share))

    def moved(factor):
        def add(y, key):
            noise = _white(key, y) * data.sigma.astype(y.dtype)
            return y + factor.astype(y.dtype) * noise

        return tree_map(add, data.y, keys)

    def half(factor, share):
        sigma = data.sigma / jnp.sqrt(jnp.asarray(share)).astype(data.sigma.dtype)
        return dataclasses.replace(data, y=moved(factor), sigma=sigma)

    return Halves(half(ratio, share), half(-1 / ratio, 1 - jnp.asarray(share)))


def split_poisson(data: Poisson, key: Array, share: Share = 0.5) -> Halves:
    """Every count goes to the first half with probability `share`, else to the second.

    The halves are independent Poisson counts, with that share of peak and background, and the rest.
    Raises ValueError unless 0 < share < 1. Counts must be whole.
    """
    _check(share, "split_poisson")
    chance = jnp.asarray(share, data.y.dtype)
    first = jax.random.binomial(key, data.y, chance, dtype=data.y.dtype)

    def half(y, share):
        background, peak = (v * share.astype(v.dtype) for v in (data.background, data.peak))
        return dataclasses.replace(data, y=y, background=background, peak=peak)

    return Halves(half(first, chance), half(data.y - first, 1 - chance))


def split_mask(data: DataTerm, key: Array, share: Share = 0.5) -> Halves:
    """Every measured entry goes to the first half with probability `share`, else to the second.

    For operators that are a `mask` (`Inpainting`, `Fourier`), whose measurements have independent
    noise (SSDU, Yaman et al. 2020). A real image's frequency goes together with its mirror image,
    which tells the same. Raises ValueError for other operators, and unless 0 < share < 1.
    """
    _check(share, "split_mask")
    mask = getattr(data.operator, "mask", None)
    if mask is None or not isinstance(data.y, jax.Array):
        raise ValueError(
            f"split_mask needs an operator with a mask, not {type(data.operator).__name__}: split "
            "the noise instead (split_gaussian, split_poisson)."
        )
    chosen = jax.random.bernoulli(key, share, mask.shape)
    if jnp.iscomplexobj(data.y):
        chosen = _with_mirror_images(chosen)

    def half(chosen):
        kept = jnp.where(chosen, mask, jnp.zeros_like(mask))
        operator = eqx.tree_at(lambda operator: operator.mask, data.operator, kept)
        seen = chosen.reshape(*chosen.shape, *(1,) * (data.y.ndim - chosen.ndim))
        y = jnp.where(seen, data.y, jnp.zeros_like(data.y))
        return dataclasses.replace(data, operator=operator, y=y)

    return Halves(half(chosen), half(~chosen))


def _with_mirror_images(chosen: Array) -> Array:
    """The choice of each frequency or its mirror image, whichever comes first, for both."""
    places = jnp.arange(chosen.size).reshape(chosen.shape)
    mirrored = jnp.roll(jnp.flip(places), (1, 1), (0, 1))
    return chosen.ravel()[jnp.minimum(places, mirrored)]


def _white(key: Array, like: Array) -> Array:
    """White noise; for complex numbers with unit variance of real and imaginary part each."""
    if not jnp.iscomplexobj(like):
        return jax.random.normal(key, like.shape, like.dtype)
    parts = jax.random.normal(key, (2, *like.shape), like.real.dtype)
    return jax.lax.complex(parts[0], parts[1])


def _check(share: Share, name: str) -> None:
    if not isinstance(share, Tracer) and not 0 < float(share) < 1:
        raise ValueError(f"{name}(share={share}) must lie between 0 and 1.")
