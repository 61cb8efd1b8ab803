"""Partitions of the unknowns into groups that are zero together; single entries are groups too.

A partition answers two questions: the size of each group (`norms`) and which group's number an
entry gets (`spread`). Shrinkage, support selection and penalties are written once with them.
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from unrolljax import prox


class Partition(eqx.Module):
    """What a partition of `unknowns` entries into `count` groups must answer."""

    def norms(self, v: Float[Array, " n"]) -> Float[Array, " groups"]:
        """The Euclidean norm of each group; its derivative at zero is zero."""
        raise NotImplementedError(f"{type(self).__name__} must define norms.")

    def spread(self, values: Array) -> Array:
        """To each entry the number of its group."""
        raise NotImplementedError(f"{type(self).__name__} must define spread.")

    def members(self, unknowns: int) -> list[np.ndarray]:
        """The entries of each group, on the host."""
        raise NotImplementedError(f"{type(self).__name__} must define members.")


class Entries(Partition):
    """Every entry is a group of its own: the usual sparsity."""

    def norms(self, v: Float[Array, " n"]) -> Float[Array, " n"]:
        """Absolute values."""
        return jnp.abs(v)

    def spread(self, values: Array) -> Array:
        """The values themselves."""
        return values

    def members(self, unknowns: int) -> list[np.ndarray]:
        """One entry each."""
        return list(np.arange(unknowns)[:, None])


class Blocks(Partition):
    """Groups of `size` neighbouring entries."""

    size: int = eqx.field(static=True)

    def __check_init__(self):
        if self.size < 1:
            raise ValueError(f"Blocks(size={self.size}) must be at least 1.")

    def norms(self, v: Float[Array, " n"]) -> Float[Array, " groups"]:
        """The norm of each block."""
        self._check(v.size)
        return prox.group_norm(v.reshape(-1, self.size))

    def spread(self, values: Array) -> Array:
        """Each value `size` times."""
        return jnp.repeat(values, self.size)

    def members(self, unknowns: int) -> list[np.ndarray]:
        """Neighbours."""
        self._check(unknowns)
        return list(np.arange(unknowns).reshape(-1, self.size))

    def _check(self, unknowns: int) -> None:
        if unknowns % self.size:
            raise ValueError(
                f"Blocks(size={self.size}) do not cover {unknowns} unknowns: the size must divide "
                "their number. Use Groups(labels) for groups of different sizes."
            )


class Groups(Partition):
    """Groups of any sizes in any order: `labels[i]` is the group of entry i, from 0 on."""

    labels: Int[Array, " n"]
    count: int = eqx.field(static=True)

    def __init__(self, labels: ArrayLike):
        """Raises a ValueError unless the labels are 0 ... count - 1, none of them unused."""
        known = np.asarray(labels)
        if known.ndim != 1 or known.size == 0 or known.dtype.kind not in "iu":
            raise ValueError("Groups(labels) must be a vector of integers, one for each unknown.")
        missing = np.setdiff1d(np.arange(max(known.max() + 1, 1)), known)
        if known.min() < 0 or missing.size:
            raise ValueError(
                "Groups(labels) must use every number from 0 to the number of groups - 1; "
                f"smallest {known.min()}, not used {missing[:5].tolist()}."
            )
        self.labels = jnp.asarray(known, jnp.int32)
        self.count = int(known.max()) + 1

    def norms(self, v: Float[Array, " n"]) -> Float[Array, " groups"]:
        """The norm of each group."""
        if v.size != self.labels.size:
            raise ValueError(
                f"Groups(labels) covers {self.labels.size} unknowns, but there are {v.size}."
            )
        return prox.labelled_group_norm(v, self.labels, self.count)

    def spread(self, values: Array) -> Array:
        """Each entry's by its label."""
        return values[self.labels]

    def members(self, unknowns: int) -> list[np.ndarray]:
        """By label."""
        del unknowns
        labels: Any = np.asarray(self.labels)
        return [np.flatnonzero(labels == group) for group in range(self.count)]
