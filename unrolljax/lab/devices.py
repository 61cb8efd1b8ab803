"""Where a run computes: platform, precision, compile cache, and one mesh axis named `data`."""

import functools
import logging
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, PyTree

from unrolljax.lab import distributed
from unrolljax.lab.config.schema import Config


def prepare(config: Config) -> None:
    """Set platform, precision and cache, and join the other processes; before the first array."""
    if config.platform == "cpu":
        jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", config.precision == "float64")
    if config.compile_cache is not None:
        jax.config.update("jax_compilation_cache_dir", str(Path(config.compile_cache).absolute()))
        # XLA lists the CPU's features for every program that it loads from the cache.
        jax.config.update("jax_logging_level", "CRITICAL")
        logging.getLogger("jax").setLevel(logging.WARNING)
    distributed.connect()
    running = jax.default_backend()
    if config.platform not in (None, running):
        raise ValueError(
            f"platform={config.platform}: JAX computes on {running} here. Install jaxlib for "
            f"{config.platform}, unset JAX_PLATFORMS, or start one process per platform."
        )


def data_mesh(devices: int | None) -> Mesh:
    """A mesh with the single axis `data` over the first `devices` devices; all of them for None."""
    there = jax.devices()
    if devices is not None and devices > len(there):
        raise ValueError(f"devices={devices}: there are only {len(there)}.")
    if devices is not None and jax.process_count() > 1 and devices != len(there):
        raise ValueError(f"devices={devices}: several processes use all of their {len(there)}.")
    return Mesh(np.asarray(there[:devices]), ("data",))


def replicate(tree: PyTree[Any], mesh: Mesh) -> PyTree[Array]:
    """A copy of every leaf on every device."""
    return place(tree, NamedSharding(mesh, PartitionSpec()))


def share(tree: PyTree[Any], mesh: Mesh) -> PyTree[Array]:
    """Every leaf's leading axis of problems, divided among the devices."""
    return place(tree, NamedSharding(mesh, PartitionSpec("data")))


def place(tree: PyTree[Any], sharding: NamedSharding) -> PyTree[Array]:
    """Put host values, the same on every process, onto the devices."""

    def put(leaf):
        value = np.asarray(leaf)
        value = value.astype(jax.dtypes.canonicalize_dtype(value.dtype))
        return jax.make_array_from_callback(value.shape, sharding, lambda index: value[index])

    return jax.tree.map(put, tree)


def signal_arrays(mesh: Mesh, numbers: tuple[int, ...]) -> dict[int, Array]:
    """For each number, one int32 per device of this process; other processes hold theirs.

    The largest over the mesh is what all processes agree on.
    """
    sharding = NamedSharding(mesh, PartitionSpec("data"))
    shape = mesh.devices.shape

    def constant(number: int) -> Array:
        whole = np.full(shape, number, np.int32)
        return jax.make_array_from_callback(shape, sharding, lambda index: whole[index])

    return {number: constant(number) for number in numbers}


def check_shares(tree: PyTree[Any], mesh: Mesh, accumulate: int, what: str) -> None:
    """Raise unless every leaf's leading axis divides into devices times parts."""
    parts = mesh.devices.size * accumulate
    sizes = {np.shape(leaf)[0] if np.ndim(leaf) else 0 for leaf in jax.tree.leaves(tree)}
    if len(sizes) > 1 or 0 in sizes:
        raise ValueError(
            f"The leaves of {what} must have one leading axis of problems; found sizes "
            f"{sorted(sizes)}. Put what all problems share into `data`."
        )
    for size in sizes:
        if size % parts:
            raise ValueError(
                f"{size} problems of {what} do not divide by {mesh.devices.size} devices times "
                f"train.accumulate={accumulate}. Choose a multiple of {parts}, or set devices= to "
                "a number that fits."
            )


def to_host(tree: PyTree[Array], mesh: Mesh) -> PyTree[np.ndarray]:
    """A copy of every array, whole, on every host."""
    divided = not all(leaf.is_fully_replicated for leaf in jax.tree.leaves(tree))
    tree = _gather(tree, mesh) if divided and jax.process_count() > 1 else tree
    # On the CPU device_get may return a view of memory that a later step is given to reuse.
    return jax.tree.map(np.array, jax.device_get(tree))


def peak_device_megabytes() -> float | None:
    """The most memory that a device of this process has held; None where no counter is kept."""
    counters = [device.memory_stats() or {} for device in jax.local_devices()]
    peaks = [c["peak_bytes_in_use"] for c in counters if "peak_bytes_in_use" in c]
    return max(peaks) / 1e6 if peaks else None


@functools.partial(jax.jit, static_argnames="mesh")
def _gather(tree: PyTree[Array], mesh: Mesh) -> PyTree[Array]:
    return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, PartitionSpec()))
