"""The gradient of an experiment against finite differences, before anything is trained."""

import dataclasses
import time
from collections.abc import Callable
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh
from jaxtyping import Array, Float

from unrolljax.lab import devices
from unrolljax.lab.config import validate
from unrolljax.lab.main import Job
from unrolljax.lab.outer import Outer
from unrolljax.lab.record import by_name, count
from unrolljax.lab.report import table

DIRECTIONS = 4
STEPS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
"""Of the differences, relative to the size of each parameter: kinks of the loss want small ones,
an inner solve that is not exact large ones."""


@dataclasses.dataclass(frozen=True)
class Slopes:
    """Of the loss along random directions: by the gradient mode, and by finite differences.

    - `seconds`: the time of one gradient, compiled.
    - `spread`: how uncertain the finite differences are themselves.
    """

    mode: str
    loss: float
    statuses: dict[str, int]
    seconds: float
    gradient: np.ndarray
    finite: np.ndarray
    spread: np.ndarray

    @property
    def difference(self) -> float:
        """The relative difference over all directions together; NaN where a slope is."""
        return float(np.linalg.norm(self.gradient - self.finite) / np.linalg.norm(self.finite))

    @property
    def cosine(self) -> float:
        """The cosine of the angle between the two vectors of slopes; 0 where one is zero."""
        norms = np.linalg.norm(self.gradient) * np.linalg.norm(self.finite)
        return float(self.gradient @ self.finite / norms) if norms else 0.0

    def __str__(self) -> str:
        size = np.abs(self.finite)
        columns = {
            "gradient": self.gradient,
            "differences": self.finite,
            "relative difference": np.abs(self.gradient - self.finite) / size,
            "uncertain by": self.spread / size,
        }
        numbers = range(len(size))
        rows = {str(k + 1): {c: float(v[k]) for c, v in columns.items()} for k in numbers}
        return (
            f"{self.mode}: loss {self.loss:.6g}, solves {self.statuses or 'none'}, "
            f"{self.seconds:.3g} s a gradient\n{table('direction', rows)}\n"
            f"together: relative difference {self.difference:.2e}, cosine {self.cosine:.6f}"
        )


def check_gradient(experiment: ModuleType, overrides: list[str]) -> Slopes:
    """Compare on the first batch of an experiment, in float64, on one device.

    `experiment` is its module. Raises ConfigError where the overrides do not fit.
    """
    job = Job(experiment.__name__)
    asked = [*overrides, "precision=float64"]
    config = validate.load(experiment.Config, job.configs, job.name, asked)
    devices.prepare(config)
    mesh = Mesh(np.asarray(jax.local_devices()[:1]), ("data",))
    outer = Outer(experiment.build(config), config.optimizer.build(), mesh, 1, 0.0)
    data, learned = jax.tree.map(jnp.asarray, (outer.experiment.data, outer.learned()))
    batch = outer.batch(data, jnp.uint32(config.seed), jnp.int32(0))
    carry = outer.experiment.first_carry(batch)

    differentiate = jax.jit(outer.slope)
    jax.block_until_ready(differentiate(learned, data, batch, carry))
    begun = time.perf_counter()
    outcome, tree = jax.block_until_ready(differentiate(learned, data, batch, carry))
    seconds = time.perf_counter() - begun

    flat, unflatten = ravel_pytree(learned)
    gradient, scale = ravel_pytree(tree)[0], ravel_pytree(jax.tree.map(_size, learned))[0]

    @jax.jit
    def loss(flat: Float[Array, " n"]) -> Float[Array, ""]:
        return outer.experiment.loss(outer.complete(unflatten(flat)), data, batch, carry).loss

    shape = (DIRECTIONS, flat.size)
    directions = scale[None] * jax.random.normal(jax.random.key(config.seed), shape, flat.dtype)
    finite, spread = zip(*(central_difference(loss, flat, d) for d in directions), strict=True)
    return Slopes(
        mode=config.gradient.path,
        loss=float(outcome.loss),
        statuses=by_name(count(outcome.status)),
        seconds=seconds,
        gradient=np.asarray(directions @ gradient),
        finite=np.asarray(finite),
        spread=np.asarray(spread),
    )


def central_difference(
    loss: Callable[[Array], Array], at: Float[Array, " n"], direction: Float[Array, " n"]
) -> tuple[float, float]:
    """The slope of a function along a direction, and how uncertain it is.

    Of fourth-order differences with each of `STEPS`, the one that changed least from the one
    before, and that change.
    """

    def slope(h: float) -> float:
        near, far = (float(loss(at + k * direction) - loss(at - k * direction)) for k in (h, 2 * h))
        return (8 * near - far) / (12 * h)

    slopes = [slope(h) for h in STEPS]
    changes = np.abs(np.diff(slopes)).tolist()
    return min(zip(slopes[1:], changes, strict=True), key=lambda pair: pair[1])


def _size(leaf: Array) -> Array:
    """The root mean square of an array, at each of its entries; 1 where all are zero."""
    size = jnp.sqrt(jnp.mean(leaf**2))
    return jnp.full_like(leaf, jnp.where(size > 0, size, 1))
