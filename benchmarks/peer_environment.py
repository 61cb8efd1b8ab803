"""Peers that cannot share our environment: each has one of its own, made when first asked for."""

import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / ".peers"


class Absent(Exception):
    """A peer cannot be run here; the message says why."""


def run(name: str, requirements: list[str], script: Path, *arguments: str) -> dict[str, Any]:
    """The JSON that a script prints as its last line, run by an interpreter that has the peer.

    Raises `Absent` where the peer cannot be installed, or its script fails.
    """
    command = [str(_interpreter(name, requirements)), str(script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Absent(f"{name}: {_last_line(done.stderr)}")
    return json.loads(_last_line(done.stdout))


def _interpreter(name: str, requirements: list[str]) -> Path:
    """The Python of the environment `.peers/NAME`."""
    folder = FOLDER / name
    python, ready = folder / "bin" / "python", folder / "installed"
    if not ready.exists():
        print(f"Installing {name} into {folder} ...", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        command = [str(python), "-m", "pip", "install", "--quiet", *requirements]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise Absent(f"{name} cannot be installed: {_last_line(done.stderr)}")
        ready.touch()
    return python


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no output"])[-1]
