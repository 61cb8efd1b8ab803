"""Files damaged after they were written: every file of a checkpoint, and the metrics."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.faults import runs
from unrolljax.lab import manifest


class Detected(NamedTuple):
    """Files damaged, those of them that were named, and runs that ended as if nothing had been."""

    files: int
    named: int
    runs: int
    same: int


def flip(path: Path) -> None:
    """Flip one bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    """Lose the last byte."""
    path.write_bytes(path.read_bytes()[:-1])


DAMAGES: dict[str, Callable[[Path], None]] = {
    "flipped": flip,
    "truncated": truncate,
    "removed": Path.unlink,
}


def damage_checkpoints(folder: Path, whole: Path, arguments: list[str], kind: str) -> Detected:
    """Damage each file of the last checkpoint of a finished run, alone; then relaunch one run.

    The relaunched run has lost its result and has one damaged file: it must name it, use the
    checkpoint before, and end as before.
    """
    last = sorted((whole / "checkpoints").iterdir())[-1]
    files = sorted(path.relative_to(last) for path in last.rglob("*") if path.is_file())
    named = 0
    for number, file in enumerate(files):
        copy = folder / kind / str(number)
        shutil.copytree(last, copy)
        DAMAGES[kind](copy / file)
        try:
            manifest.read(copy)
        except manifest.Corrupt as error:
            named += str(file) in str(error)
    again = folder / kind / "run"
    shutil.copytree(whole, again)
    (again / "result.json").unlink()
    broken = max(files, key=lambda file: (last / file).stat().st_size)
    DAMAGES[kind](again / "checkpoints" / last.name / broken)
    output = runs.run(*arguments, f"hydra.run.dir={again}")
    same = str(broken) in output and runs.same_parameters(again, whole)
    same = same and not runs.differing_lines(again, whole)
    return Detected(len(files), named, 1, int(same))


def tear_metrics(folder: Path, whole: Path, arguments: list[str]) -> Detected:
    """Half a line at the end of the metrics of a run that lost its result and last checkpoint."""
    shutil.copytree(whole, folder)
    (folder / "result.json").unlink()
    shutil.rmtree(sorted((folder / "checkpoints").iterdir())[-1])
    with (folder / "metrics.jsonl").open("a") as metrics:
        metrics.write('{"step": 100000, "lo')
    output = runs.run(*arguments, f"hydra.run.dir={folder}")
    same = runs.same_parameters(folder, whole) and not runs.differing_lines(folder, whole)
    return Detected(1, int("is torn" in output), 1, int(same))
