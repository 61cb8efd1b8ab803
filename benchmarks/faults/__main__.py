"""`python -m benchmarks.faults [--quick] [--check] [--json FILE]`."""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.faults import damage, disk, kills, runs
from benchmarks.options import parser

KILLS, QUICK_KILLS = 20, 2
SWEEP = 3


class Row(NamedTuple):
    """A fault, what was counted, and whether nothing was lost; None where it was skipped."""

    fault: str
    counts: dict[str, Any]
    survived: bool | None

    def __str__(self) -> str:
        counts = ", ".join(f"{name.replace('_', ' ')} {n}" for name, n in self.counts.items())
        verdict = {True: "survived", False: "LOST", None: "skipped"}[self.survived]
        return f"{self.fault:28} {verdict:9} {counts}"


def main() -> int:
    """Do the faults, print a line for each, write; 1 if `--check` finds that something was lost."""
    options = parser("faults", __doc__, quick="two kills, one kind of damage").parse_args()
    rows = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for row in campaign(Path(folder), options.quick):
            print(row, flush=True)
            rows.append(row)
    if options.json:
        options.json.write_text(json.dumps([row._asdict() for row in rows], indent=1) + "\n")
    return int(options.check and any(row.survived is False for row in rows))


def campaign(folder: Path, quick: bool) -> Iterator[Row]:
    """Every fault in turn, each held against runs that nothing disturbed."""
    often = [
        *runs.SMALL,
        "train.checkpoint_every=20",
        "train.steps=1000" if quick else "train.steps=4000",
    ]
    whole = folder / "whole"
    runs.run(*often, f"hydra.run.dir={whole}")
    count = QUICK_KILLS if quick else KILLS
    yield _survived("SIGKILL", kills.kill_at_random(folder / "killed", whole, often, count))
    for kind in ["flipped"] if quick else damage.DAMAGES:
        counts = damage.damage_checkpoints(folder / "damaged", whole, often, kind)
        yield _detected(f"checkpoint file {kind}", counts)
    yield _detected("last line of metrics torn", damage.tear_metrics(folder / "torn", whole, often))
    if quick:
        return
    yield _full_disk(folder, whole, often)
    wholes = [folder / f"whole{seed}" for seed in range(SWEEP)]
    for seed, path in enumerate(wholes):
        runs.run(*runs.SMALL, f"seed={seed}", f"hydra.run.dir={path}")
    yield _survived(
        "SIGTERM in a sweep", kills.terminate_a_sweep(folder / "sweep", wholes, runs.SMALL)
    )


def _survived(fault: str, counts: kills.Survived) -> Row:
    good = counts.differing_lines == 0 and counts.same_parameters
    return Row(fault, counts._asdict(), good and counts.resumed >= counts.faults)


def _detected(fault: str, counts: damage.Detected) -> Row:
    return Row(fault, counts._asdict(), counts.named == counts.files and counts.same == counts.runs)


def _full_disk(folder: Path, whole: Path, arguments: list[str]) -> Row:
    reason = disk.why_not()
    if reason:
        return Row("full disk", {"reason": reason}, None)
    counts = disk.fill_the_disk(folder / "disk", whole, arguments)
    good = counts.exit_code != 0 and counts.whole_checkpoints > 0
    return Row(
        "full disk",
        counts._asdict(),
        good and counts.same_parameters and not counts.differing_lines,
    )


if __name__ == "__main__":
    sys.exit(main())
