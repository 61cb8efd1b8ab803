"""Runs of a small shipped experiment, each in a process of its own."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SMALL = [
    "rows=8", "columns=16", "network=slista", "layers=3", "batch=8", "held_out=8", "platform=cpu",
    "train.steps=2000", "train.evaluate_every=100", "train.checkpoint_every=300",
    f"compile_cache={ROOT / '.jax_cache' / 'tests'}",
]  # fmt: skip
"""About three seconds of training: time enough to be killed in."""


def start(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.Popen:
    """A running experiment."""
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.lista", *arguments],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | (environment or {}),
    )


def run(*arguments: str, expect: int = 0, environment: dict[str, str] | None = None) -> str:
    """What an experiment prints until its end, which must have the expected exit code."""
    process = start(*arguments, environment=environment)
    output = process.communicate(timeout=180)[0]
    assert process.returncode == expect, output
    return output


def steps(folder: Path) -> int:
    """How many steps are written so far."""
    path = folder / "metrics.jsonl"
    return path.read_text().count('"loss"') if path.exists() else 0


def wait_for_step(process: subprocess.Popen, folder: Path, step: int, seconds: float = 90) -> None:
    """Wait until a running experiment has written a step."""
    deadline = time.monotonic() + seconds
    while steps(folder) < step:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, f"step {step} was not reached in {seconds} s"
        time.sleep(0.01)


def result(folder: Path) -> dict[str, Any]:
    """The result of a finished run."""
    return json.loads((folder / "result.json").read_text())


def differing_lines(folder: Path, whole: Path) -> int:
    """How many lines of metrics differ from those of a run that nothing disturbed."""
    ours, theirs = ((f / "metrics.jsonl").read_text().splitlines() for f in (folder, whole))
    differing = sum(a != b for a, b in zip(ours, theirs, strict=False))
    return differing + abs(len(ours) - len(theirs))


def same_parameters(folder: Path, whole: Path) -> bool:
    """Whether two runs ended with the same bits."""
    return result(folder)["parameters_sha256"] == result(whole)["parameters_sha256"]
