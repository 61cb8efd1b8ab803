"""Slurm runs a job, and ranks under srun find each other."""

import socket
import sys

import pytest

RANK = """
from unrolljax.lab import distributed
distributed.connect()
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
batch = jax.make_array_from_process_local_data(
    NamedSharding(Mesh(np.array(jax.devices()), ("data",)), PartitionSpec("data")),
    np.full(3, jax.process_index() + 1.0, np.float32))
print("sum", float(jax.jit(jnp.sum)(batch)), "of", jax.process_count(), flush=True)
"""


@pytest.fixture
def rank(tmp_path):
    script = tmp_path / "rank.py"
    script.write_text(RANK)
    return f"{sys.executable} {script}"


def test_a_job_runs(slurm, tmp_path):
    output = tmp_path / "job.txt"
    job = slurm.submit("echo here; exit 3", output)
    assert slurm.wait(job, "COMPLETED", "FAILED")["ExitCode"] == "3:0"
    assert output.read_text() == "here\n"


@pytest.mark.parametrize("nodes", [1, 2])
def test_two_ranks_under_srun_sum_over_both(slurm, rank, nodes):
    output = slurm.run("srun", f"--nodes={nodes}", "--ntasks=2", *rank.split(), seconds=90)
    assert output.count("sum 9.0 of 2\n") == 2


def test_ranks_meet_at_a_given_address(slurm, rank, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    output = tmp_path / "job.txt"
    command = f"JAX_COORDINATOR_ADDRESS={address} srun {rank}"
    job = slurm.submit(command, output, "--nodes=2", "--ntasks=2")
    slurm.wait(job, "COMPLETED", seconds=90)
    assert output.read_text().count("sum 9.0 of 2\n") == 2


def test_a_batch_script_without_srun_is_a_single_process(slurm, rank, tmp_path):
    output = tmp_path / "job.txt"
    slurm.wait(slurm.submit(rank, output, "--ntasks=2"), "COMPLETED", seconds=90)
    assert output.read_text().count("sum 3.0 of 1\n") == 1
