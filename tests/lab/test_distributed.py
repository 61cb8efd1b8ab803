"""Two real processes on loopback, joined by gloo: they compute together and end together."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import pytest

from unrolljax.lab import distributed

RANK = """
import signal, sys, time
caught = []
signal.signal(signal.SIGTERM, lambda number, frame: caught.append(number))
from unrolljax.lab import distributed
distributed.connect()
distributed.connect()
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
rank = jax.process_index()
mesh = Mesh(np.array(jax.devices()), ("data",))
batch = jax.make_array_from_process_local_data(
    NamedSharding(mesh, PartitionSpec("data")), np.full(3, rank + 1.0, np.float32))
total = jax.jit(jnp.sum)
def meet():
    return float(total(batch))
meet()
print("ready", flush=True)
"""


class Pair:
    """Two ranks, started by hand, that run `RANK` and then `script`; their output is in files."""

    def __init__(self, folder: pathlib.Path, script: str):
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        self.outputs = [folder / f"rank{index}.txt" for index in range(2)]
        self.ranks = [self._start(address, index, script) for index in range(2)]

    def _start(self, address: str, index: int, script: str) -> subprocess.Popen:
        environment = {
            **os.environ,
            "JAX_PLATFORMS": "cpu",
            "JAX_COORDINATOR_ADDRESS": address,
            "JAX_NUM_PROCESSES": "2",
            "JAX_PROCESS_ID": str(index),
        }
        with self.outputs[index].open("w") as output:
            return subprocess.Popen(
                [sys.executable, "-c", RANK + script],
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + 90
        while not all("ready" in output.read_text() for output in self.outputs):
            assert all(rank.poll() is None for rank in self.ranks), self.outputs[0].read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def kill(self) -> None:
        for rank in self.ranks:
            rank.kill()
            rank.wait(30)


@pytest.fixture
def start(tmp_path):
    """Start a pair and wait until its ranks have computed a first sum together."""
    pairs = []

    def start_pair(script: str) -> Pair:
        pairs.append(Pair(tmp_path, script))
        pairs[-1].wait_until_ready()
        return pairs[-1]

    yield start_pair
    for pair in pairs:
        pair.kill()


def test_the_sum_over_the_mesh_counts_every_rank(start):
    pair = start("print('sum', meet(), jax.process_count())")
    assert [rank.wait(60) for rank in pair.ranks] == [0, 0]
    assert all("sum 9.0 2" in output.read_text() for output in pair.outputs)


@pytest.mark.parametrize(
    ("number", "victim", "script"),
    [
        pytest.param(signal.SIGKILL, 0, "time.sleep(99)", id="rank-0-killed"),
        pytest.param(signal.SIGKILL, 1, "time.sleep(99)", id="killed-far-from-a-collective"),
        pytest.param(signal.SIGSTOP, 1, "while True: meet()", id="stopped-in-a-collective"),
    ],
)
def test_a_dead_peer_ends_the_other_rank_within_30_seconds(start, number, victim, script):
    pair = start(script)
    pair.ranks[victim].send_signal(number)
    assert pair.ranks[1 - victim].wait(30) != 0


def test_a_rank_that_leaves_waits_for_nobody(start):
    pair = start("distributed.leave(7) if rank == 1 else time.sleep(99)")
    assert pair.ranks[1].wait(5) == 7


def test_sigterm_reaches_python_handlers_that_were_set_before(start):
    pair = start(
        """
while not caught: time.sleep(0.1)
sys.exit(128 + caught[0])
"""
    )
    for rank in pair.ranks:
        rank.send_signal(signal.SIGTERM)
    assert [rank.wait(30) for rank in pair.ranks] == [143, 143]


def test_a_single_process_neither_connects_nor_leaves():
    distributed.connect()
    distributed.leave(3)


ADDRESS = {"JAX_COORDINATOR_ADDRESS": "127.0.0.1:1"}
STEP = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_NTASKS": "2", "SLURM_PROCID": "1"}


@pytest.mark.parametrize(
    ("environment", "rank"),
    [
        ({}, None),
        ({"SLURM_NTASKS": "2", "SLURM_PROCID": "0"}, None),  # a bare sbatch script
        ({**STEP, "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}, None),
        ({**STEP, "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0", **ADDRESS}, None),
        (STEP, (1, 2, None)),
        ({**STEP, **ADDRESS}, (1, 2, "127.0.0.1:1")),
        ({**ADDRESS, "JAX_NUM_PROCESSES": "4", "JAX_PROCESS_ID": "3"}, (3, 4, "127.0.0.1:1")),
        ({**ADDRESS, "JAX_NUM_PROCESSES": "1", "JAX_PROCESS_ID": "0"}, None),
    ],
)
def test_the_environment_names_the_rank(environment, rank):
    assert distributed.find_rank(environment) == rank


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (ADDRESS, "not set: JAX_NUM_PROCESSES, JAX_PROCESS_ID"),
        ({**ADDRESS, "JAX_NUM_PROCESSES": "2"}, "not set: JAX_PROCESS_ID"),
        ({"JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "0"}, "not set: JAX_COORDINATOR_ADDRESS"),
        ({**ADDRESS, "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "2"}, "JAX_PROCESS_ID=2"),
        ({**ADDRESS, "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": "-1"}, "JAX_PROCESS_ID=-1"),
        ({**ADDRESS, "JAX_NUM_PROCESSES": "two", "JAX_PROCESS_ID": "0"}, "JAX_NUM_PROCESSES=two"),
        (
            {
                "JAX_COORDINATOR_ADDRESS": "localhost",
                "JAX_NUM_PROCESSES": "2",
                "JAX_PROCESS_ID": "0",
            },
            "expected host:port",
        ),
    ],
)
def test_half_a_configuration_is_named(environment, message):
    with pytest.raises(ValueError, match=message):
        distributed.find_rank(environment)
