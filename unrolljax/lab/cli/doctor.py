"""What works in this installation: versions, devices, numbers, collectives, optional parts."""

import importlib.metadata
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp

import unrolljax as uj
from unrolljax.lab import distributed
from unrolljax.lab.cli import sentinel
from unrolljax.lab.config.schema import Config
from unrolljax.lab.folder import PACKAGES

TIMEOUT = 40  # seconds that a process of a test may take

OPTIONAL = {
    "hydra-submitit-launcher": "cluster",
    "tensorboardX": "tensorboard",
    "optimistix": "optimistix",
}
"""Packages that unrolljax can do without, and the extra that installs each."""

# Adds one number a device over all devices of all processes.
SUM = """
import jax, numpy as np
from jax.sharding import PartitionSpec
from unrolljax.lab import devices, distributed
distributed.connect()
mesh = devices.data_mesh(None)
n = mesh.devices.size
numbers = devices.share(np.arange(n, dtype=np.float32), mesh)
split, whole = PartitionSpec("data"), PartitionSpec()
add = jax.shard_map(lambda x: jax.lax.psum(x, "data"), mesh=mesh, in_specs=split, out_specs=whole)
assert jax.device_get(jax.jit(add)(numbers)).tolist() == [n * (n - 1) / 2]
print(n, jax.process_count())
"""


class Absent(Exception):
    """What was looked for is not here, and need not be."""


class Row(NamedTuple):
    """What was tested, `ok`, `FAIL` or `absent`, and what was found."""

    name: str
    state: str
    detail: str

    def __str__(self) -> str:
        return f"{self.name:24}  {self.state:6}  {self.detail}".rstrip()


def examine() -> Iterator[Row]:
    """Test one thing after the other, each with the default backend of JAX; below a minute."""
    yield Row("python", "ok", platform.python_version())
    for name in PACKAGES:
        yield _row(name, lambda name=name: version(name))
    tests = {
        "devices": devices,
        "float64": float64,
        "jax sentinel": jax_sentinel,
        "implicit gradient": implicit_gradient,
        "8 devices": forced_devices,
        "2 processes": two_processes,
        "compile cache": compile_cache,
    }
    for name, test in tests.items():
        yield _row(name, test)
    for name, extra in OPTIONAL.items():
        yield _row(name, lambda name=name, extra=extra: optional(name, extra))
    yield _row("Slurm", slurm)


def version(package: str) -> str:
    """The version of a package, unless it is a release that computes wrong numbers."""
    found = importlib.metadata.version(package)
    if package in ("jax", "jaxlib") and found in sentinel.WRONG_RELEASES:
        raise ValueError(f"{found} is known to be wrong (jax-ml/jax#39103): install another")
    return found


def devices() -> str:
    """How many devices of each kind every platform has."""
    found = []
    for name in ("cpu", "gpu", "tpu"):
        try:
            there = jax.devices(name)
        except RuntimeError:  # JAX has no such backend here
            continue
        found.append(f"{name}: {len(there)} x {there[0].device_kind}")
    return f"{', '.join(found)}; default {jax.default_backend()}"


def float64() -> str:
    """Whether sums keep what single precision loses."""
    with jax.enable_x64(True):
        small = float(jax.jit(lambda x: (1 + x) - 1)(jnp.asarray(1e-12)))
    if not 0.99e-12 < small < 1.01e-12:
        raise ArithmeticError(f"(1 + 1e-12) - 1 = {small}")
    return "(1 + 1e-12) - 1 is not 0"


def jax_sentinel() -> str:
    """Whether the CPU computes the case that some releases get wrong."""
    error = sentinel.batched_squares_error()
    if error >= sentinel.TOLERANCE:
        raise ArithmeticError(f"relative error {error:.1e}: this jax computes wrong numbers")
    return f"relative error {error:.1e}"


class Quadratic(NamedTuple):
    """Minimised by x = 1 / curvature, entry by entry."""

    curvature: jax.Array

    def objective(self, x: jax.Array) -> jax.Array:
        """Half the squared norm in the curvature, minus the sum."""
        return jnp.sum(self.curvature * x**2 / 2 - x)


def implicit_gradient() -> str:
    """A solve, and the gradient of the sum of its solution: minus one over curvature squared."""
    with jax.enable_x64(True):
        curvature = jnp.linspace(0.5, 1.0, 5)

        def total(curvature: jax.Array) -> jax.Array:
            solver, mode = uj.solvers.GradientDescent(1.0), uj.Implicit(tol=1e-10)
            stop, start = uj.Stop(200, tol=1e-12), jnp.zeros(5)
            return uj.solve(
                solver, Quadratic(curvature), start, gradient=mode, stop=stop
            ).value.sum()

        error = float(jnp.max(jnp.abs(jax.jit(jax.grad(total))(curvature) * curvature**2 + 1)))
    if not error < 1e-8:
        raise ArithmeticError(f"relative error {error:.1e} against the closed form")
    return f"relative error {error:.1e}"


def forced_devices() -> str:
    """A sum over eight devices that the CPU is made to look like."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    _run_together({"XLA_FLAGS": flags})
    return "sum over 8 forced host devices"


def two_processes() -> str:
    """A sum over two processes on this machine, joined by gloo."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    ranks = [
        {distributed.ADDRESS: address, distributed.COUNT: "2", distributed.INDEX: str(index)}
        for index in range(2)
    ]
    _run_together(*ranks)
    return "sum over 2 processes (gloo)"


def compile_cache() -> str:
    """Whether the default folder of compiled programs, or where it will be made, is writable."""
    folder = Path(Config.model_fields["compile_cache"].default).absolute()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    with tempfile.TemporaryFile(dir=there):
        return f"{folder} can be written"


def optional(package: str, extra: str) -> str:
    """The version of an optional package."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        raise Absent(f"pip install 'unrolljax[{extra}]'") from None


def slurm() -> str:
    """The version of Slurm's srun."""
    if shutil.which("srun") is None:
        raise Absent("no srun on the path")
    done = subprocess.run(["srun", "--version"], capture_output=True, text=True, timeout=TIMEOUT)
    if done.returncode:
        reason = done.stderr.strip().rpartition("\n")[2]
        raise Absent(f"srun is here, but: {reason}")
    return done.stdout.strip()


def _row(name: str, test: Callable[[], str]) -> Row:
    try:
        return Row(name, "ok", test())
    except Absent as absent:
        return Row(name, "absent", str(absent))
    except Exception as error:  # whatever goes wrong is what this command is for
        reason = str(error).strip().partition("\n")[0]
        return Row(name, "FAIL", f"{type(error).__name__}: {reason}")


def _run_together(*ranks: dict[str, str]) -> None:
    """Run `SUM` on the CPU in one process for each environment; raise unless all succeed."""
    step = {distributed.STEP_COUNT, distributed.STEP_INDEX, distributed.ADDRESS}
    clean = {key: value for key, value in os.environ.items() if key not in step}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SUM],
            env={**clean, "JAX_PLATFORMS": "cpu", **rank},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in ranks
    ]
    try:
        for process in processes:
            output, _ = process.communicate(timeout=TIMEOUT)
            if process.returncode:
                last = output.strip().rpartition("\n")[2]
                raise RuntimeError(f"exit status {process.returncode}: {last}")
    finally:
        for process in processes:
            process.kill()
            process.communicate()
