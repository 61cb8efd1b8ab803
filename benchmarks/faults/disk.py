"""A disk that is full: a small tmpfs, made larger afterwards."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.faults import runs
from unrolljax.lab import manifest


class FullDisk(NamedTuple):
    """Exit code on the full disk, whole checkpoints there, and the end after more room."""

    exit_code: int
    whole_checkpoints: int
    differing_lines: int
    same_parameters: bool


def why_not() -> str | None:
    """The reason why no tmpfs can be mounted here; None if one can."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return "only root can mount a tmpfs"
    return None


@contextlib.contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[None]:
    """A tmpfs of this size on a folder."""
    folder.mkdir(parents=True)
    size = f"size={kilobytes}k"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill_the_disk(folder: Path, whole: Path, arguments: list[str]) -> FullDisk:
    """Run until the disk is full; then give it room and relaunch."""
    with small_disk(folder, kilobytes=200):
        run = folder / "run"
        process = runs.start(*arguments, f"hydra.run.dir={run}")
        output = process.communicate(timeout=180)[0]
        assert "No space left" in output, output
        good = sum(_is_whole(path) for path in (run / "checkpoints").iterdir())
        subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)
        runs.run(*arguments, f"hydra.run.dir={run}")
        differing, same = runs.differing_lines(run, whole), runs.same_parameters(run, whole)
    return FullDisk(process.returncode, good, differing, same)


def _is_whole(checkpoint: Path) -> bool:
    try:
        manifest.read(checkpoint)
    except manifest.Corrupt:
        return False
    return True
