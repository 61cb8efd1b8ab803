"""Runs of a small shipped experiment, each in a process of its own."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
SMALL = [
    "rows=8", "columns=16", "layers=3", "batch=8", "held_out=8", "platform=cpu",
    "train.steps=2000", "train.evaluate_every=100", "train.checkpoint_every=300",
    "compile_cache=.jax_cache/tests",
]  # fmt: skip
"""About three seconds of training: time enough to be killed in."""


def start(*arguments, environment=None):
    """A running experiment."""
    command = [sys.executable, "-m", "experiments.lista", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=os.environ | (environment or {}),
    )  # fmt: skip


def run(*arguments, expect=0, environment=None):
    """What an experiment prints until its end, which must have the expected exit code."""
    process = start(*arguments, environment=environment)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == expect, output
    return output


def steps(folder):
    """How many steps are written so far."""
    path = folder / "metrics.jsonl"
    return path.read_text().count('"loss"') if path.exists() else 0


def wait_for_step(process, folder, step, seconds=60):
    """Wait until a running experiment has written a step."""
    deadline = time.monotonic() + seconds
    while steps(folder) < step:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def result(folder):
    return json.loads((folder / "result.json").read_text())
