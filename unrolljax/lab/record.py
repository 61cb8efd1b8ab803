"""What the host reads of a step: one vector on the device, one line of metrics on the host."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PyTree

from unrolljax.core.status import Status
from unrolljax.lab.experiment import Line


class Record(NamedTuple):
    """A step's number (from 1), loss, metrics, solves by status code, verdict, and signals.

    `good`: taken or left out; `skipped`: how many have been left out.
    """

    step: Int[Array, ""]
    loss: Float[Array, ""]
    gradient_norm: Float[Array, ""]
    metrics: dict[str, Array]
    statuses: Int[Array, " codes"]
    good: Bool[Array, ""]
    skipped: Int[Array, ""]
    signal: Int[Array, ""]


def count(status: Int[Array, "..."] | None) -> Int[Array, " codes"]:
    """How many solves ended with each status code."""
    codes = jnp.arange(len(Status), dtype=jnp.int32)
    if status is None:
        return jnp.zeros_like(codes)
    return jnp.sum(status.reshape(-1, 1) == codes[None], axis=0, dtype=jnp.int32)


def failed(counts: Int[Array, " codes"]) -> Int[Array, ""]:
    """How many solves ended with a status that is a failure."""
    return sum((counts[status] for status in Status if status.failed), start=0 * counts[0])


def pack(record: PyTree[Array]) -> Float[Array, " numbers"]:
    """All numbers in one vector: one transfer costs the host as much as one number."""
    wide = jnp.result_type(float)
    return jnp.concatenate([jnp.ravel(leaf).astype(wide) for leaf in jax.tree.leaves(record)])


def unpack(numbers: np.ndarray, like: PyTree) -> PyTree[np.ndarray]:
    """The inverse of `pack`, for the shapes of `like`."""
    leaves, structure = jax.tree.flatten(like)
    parts, begin = [], 0
    for leaf in leaves:
        parts.append(numbers[begin : begin + leaf.size].reshape(leaf.shape))
        begin += leaf.size
    return jax.tree.unflatten(structure, parts)


def as_line(record: Record) -> Line:
    """The line of metrics of a step; it counts skipped steps once there are some."""
    skipped = {"skipped": int(record.skipped)} if record.skipped else {}
    return {
        "step": int(record.step),
        "loss": float(record.loss),
        "gradient_norm": float(record.gradient_norm),
        **{name: float(value) for name, value in record.metrics.items()},
        **skipped,
        "status": by_name(record.statuses),
    }


def by_name(counts: Int[Array, " codes"] | np.ndarray) -> dict[str, int]:
    """Counts of the statuses that occurred."""
    return {Status(code).name: int(n) for code, n in enumerate(counts) if n}
