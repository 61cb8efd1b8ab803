"""Bounds on parameters: a box, checked on the host where its numbers are known."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree

from unrolljax.bilevel.parameters import concrete, entry_names, like_parameters
from unrolljax.solvers.real_vector import to_vector


class Box(NamedTuple):
    """`lower <= v <= upper`, entry by entry; infinite where there is no bound."""

    lower: Float[Array, " n"]
    upper: Float[Array, " n"]

    def clip(self, v: Float[Array, " n"]) -> Float[Array, " n"]:
        """The nearest point of the box."""
        return jnp.clip(v, self.lower, self.upper)

    def contains(self, v: Float[Array, " n"]) -> Bool[Array, ""]:
        """Whether every entry of v lies within its bounds."""
        return jnp.all((v >= self.lower) & (v <= self.upper))

    def binding(self, v: Float[Array, " n"], slope: Float[Array, " n"]) -> Bool[Array, " n"]:
        """Entries on a bound that descent along minus the slope would push outwards."""
        below = (v <= self.lower) & (slope > 0)
        above = (v >= self.upper) & (slope < 0)
        return below | above | (self.lower == self.upper)


def as_box(bounds: Any, theta: PyTree[Array]) -> Box:
    """The box of a pair (lower, upper), or of None.

    Raises ValueError, naming the entry, where a lower bound is above the upper one or theta is
    outside (in traced numbers `least_squares` reports a start outside as `NONFINITE`).
    """
    if bounds is not None and not (isinstance(bounds, tuple) and len(bounds) == 2):
        raise ValueError("bounds must be a pair (lower, upper) of numbers or pytrees like theta0.")
    lower, upper = (None, None) if bounds is None else bounds
    box = Box(
        like_parameters(lower, theta, -jnp.inf, "bounds[0]"),
        like_parameters(upper, theta, jnp.inf, "bounds[1]"),
    )
    if concrete(*box):
        wrong = ~(np.asarray(box.lower) <= np.asarray(box.upper))
        _refuse(wrong, theta, box, "bounds: the lower bound of {name} is not below the upper one")
    return box


def check_inside(box: Box, theta: PyTree[Array], argument: str) -> None:
    """Raise ValueError, naming the entry, where a concrete theta lies outside the box."""
    v = to_vector(theta)[0]
    if concrete(v, *box):
        value = np.asarray(v)
        outside = (value < np.asarray(box.lower)) | (value > np.asarray(box.upper))
        _refuse(outside, theta, box, f"{argument} starts outside the bounds: {{name}} is {{value}}")


def stratified_points(
    key: Array, count: int, box: Box, theta: PyTree[Array]
) -> Float[Array, "count n"]:
    """A Latin hypercube in a finite box: in every coordinate one point in each of `count` strata.

    McKay, Beckman & Conover 1979. Raises ValueError, naming the entry, without finite bounds.
    """
    if concrete(*box):
        unbounded = ~np.isfinite(np.asarray(box.upper) - np.asarray(box.lower))
        _refuse(unbounded, theta, box, "starts: drawing them needs finite bounds, also for {name}")
    size, dtype = box.lower.size, box.lower.dtype
    shuffled, within = jax.random.split(key)
    strata = jax.vmap(lambda k: jax.random.permutation(k, count))(jax.random.split(shuffled, size))
    place = (strata.T.astype(dtype) + jax.random.uniform(within, (count, size), dtype)) / count
    return box.lower[None] + place * (box.upper - box.lower)[None]


def _refuse(wrong: np.ndarray, theta: PyTree[Array], box: Box, sentence: str) -> None:
    if not wrong.any():
        return
    entry = int(np.argmax(wrong))
    value = float(to_vector(theta)[0][entry]) if "{value}" in sentence else None
    said = sentence.format(name=entry_names(theta)[entry], value=value)
    lower, upper = float(box.lower[entry]), float(box.upper[entry])
    raise ValueError(f"{said} (bounds {lower:g} to {upper:g}).")
