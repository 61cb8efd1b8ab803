"""One run on two processes (gloo, this machine): interrupted, orphaned, resumed to the last bit."""

import signal
import socket
import time

import numpy as np
import pytest

from benchmarks.faults import runs as commands
from unrolljax.lab import metrics

ARGUMENTS = [*commands.SMALL, "train.steps=1500"]


def launch(folder):
    """Two ranks of one run."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    ranks = []
    for index in range(2):
        environment = {
            "JAX_COORDINATOR_ADDRESS": address,
            "JAX_NUM_PROCESSES": "2",
            "JAX_PROCESS_ID": str(index),
        }
        arguments = [*ARGUMENTS, f"hydra.run.dir={folder}"]
        ranks.append(commands.start(*arguments, environment=environment))
    return ranks


def ends(ranks, seconds=90):
    """Exit codes and outputs."""
    outputs = [rank.communicate(timeout=seconds)[0] for rank in ranks]
    return [rank.returncode for rank in ranks], outputs


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes") / "whole"
    codes, outputs = ends(launch(folder))
    assert codes == [0, 0], outputs
    return folder


def test_two_processes_train_as_one(whole, tmp_path):
    commands.run(*ARGUMENTS, f"hydra.run.dir={tmp_path / 'one'}")
    two, one = (metrics.read(path / "metrics.jsonl") for path in (whole, tmp_path / "one"))
    for name in ("loss", "evaluation/loss"):
        ours, theirs = ([line[name] for line in lines if name in line] for lines in (two, one))
        np.testing.assert_allclose(ours[:100], theirs[:100], rtol=1e-3)
        assert len(ours) == len(theirs)
    result = commands.result(whole)
    assert (result["processes"], result["devices"]) == (2, 2)
    assert result["compilations_after_warmup"] == 0


def test_a_run_survives_signals_and_dead_ranks(whole, tmp_path):
    folder = tmp_path / "run"
    ranks = launch(folder)
    commands.wait_for_step(ranks[0], folder, 50)
    ranks[1].send_signal(signal.SIGTERM)  # one rank only: all must agree
    codes, outputs = ends(ranks)
    assert codes == [143, 143], outputs
    saved = sorted((folder / "checkpoints").iterdir())[-1]
    assert int(saved.name) == commands.steps(folder)
    for dead in (1, 0):
        before = commands.steps(folder)
        ranks = launch(folder)
        commands.wait_for_step(ranks[0], folder, before + 30)
        ranks[dead].kill()
        begun = time.monotonic()
        codes, outputs = ends(ranks)
        assert time.monotonic() - begun < 30
        assert codes[dead] == -signal.SIGKILL
        assert codes[1 - dead] != 0, outputs
        assert not (folder / "result.json").exists()
    codes, outputs = ends(launch(folder))
    assert codes == [0, 0], outputs
    assert (folder / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()
    same = "parameters_sha256"
    assert commands.result(folder)[same] == commands.result(whole)[same]


def test_processes_started_by_hand_must_name_their_folder():
    environment = {
        "JAX_COORDINATOR_ADDRESS": "127.0.0.1:1",
        "JAX_NUM_PROCESSES": "2",
        "JAX_PROCESS_ID": "0",
    }
    output = commands.run(*ARGUMENTS, environment=environment, expect=2)
    assert "add hydra.run.dir=FOLDER" in output
