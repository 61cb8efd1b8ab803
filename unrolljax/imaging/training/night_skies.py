"""Pictures of galaxies and stars on a dark sky, which photographs of the earth do not teach."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

Plane = Float[np.ndarray, "rows columns"]

STARS = 0.3
"""Share of the sources that are stars."""

FAINT, BRIGHT = 0.01, 1.5
"""Central brightness of the sources, in grey values above the sky; white is 1."""

DENSE, SPARSE = 30, 600
"""Pixels for each source, at least and at most."""


class Source(NamedTuple):
    """A profile that is one at the centre, by rows and columns from it, and how far to draw it."""

    profile: Callable[[Plane, Plane], Plane]
    reach: float


def night_sky(rng: np.random.Generator, size: int) -> Float[np.ndarray, "size size"]:
    """One picture of galaxies and stars at random places, most of them faint and small.

    Galaxies have Sersic's profile (1963) with elliptic contours, some of them two spiral arms;
    stars have Moffat's (1969). Drawn at twice the size, so that cores and edges are smooth, above a
    constant sky. Grey values in [0, 1].
    """
    side = 2 * size
    sky = np.full((side, side), rng.uniform(0.01, 0.15))
    for _ in range(rng.poisson(size**2 / _log_uniform(rng, DENSE, SPARSE))):
        centre = rng.uniform(-0.05 * side, 1.05 * side, 2)
        source = _star(rng) if rng.random() < STARS else _galaxy(rng)
        first, last = (
            np.clip(centre + r, 0, side).astype(int) for r in (-source.reach, source.reach)
        )
        lines = [np.arange(a, b) + 0.5 - c for a, b, c in zip(first, last, centre, strict=True)]
        seen = source.profile(*np.meshgrid(*lines, indexing="ij"))
        sky[first[0] : last[0], first[1] : last[1]] += _log_uniform(rng, FAINT, BRIGHT) * seen
    return np.clip(sky.reshape(size, 2, size, 2).mean((1, 3)), 0, 1)


def _galaxy(rng: np.random.Generator) -> Source:
    """Sersic's profile, cored where it would be a spike."""
    radius, index = _log_uniform(rng, 2, 24), rng.uniform(0.5, 3)
    turn, flat = rng.uniform(0, np.pi), rng.uniform(0.25, 1)
    arms = _arms(rng)
    # Half of the light lies within `radius`, up to terms of order 1 / index (Ciotti 1991).
    half = 2 * index - 1 / 3

    def profile(rows: Plane, columns: Plane) -> Plane:
        along = np.cos(turn) * columns + np.sin(turn) * rows
        across = (np.cos(turn) * rows - np.sin(turn) * columns) / flat
        distance = np.sqrt(along**2 + across**2 + 1) / radius
        fall = distance ** (1 / index) - radius ** (-1 / index)
        return np.exp(-half * fall) * arms(np.arctan2(across, along), distance)

    return Source(profile, 8 * radius)


def _arms(rng: np.random.Generator) -> Callable[[Plane, Plane], Plane]:
    """A factor of at most 1: two logarithmic spirals for a third of the galaxies."""
    depth = rng.uniform(0.2, 0.6) if rng.random() < 1 / 3 else 0.0
    wind = rng.choice([-1, 1]) * rng.uniform(2, 5)
    return lambda angle, distance: 1 - depth * (1 - np.cos(2 * angle - wind * np.log(distance))) / 2


def _star(rng: np.random.Generator) -> Source:
    """Moffat's profile."""
    core, falloff = rng.uniform(1.5, 6), rng.uniform(2, 5)
    return Source(
        lambda rows, columns: (1 + (rows**2 + columns**2) / core**2) ** -falloff, 8 * core
    )


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
