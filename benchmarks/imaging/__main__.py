"""`python -m benchmarks.imaging [--quick] [--check] [--parts convolution,...] [--json FILE]`."""

import argparse
import importlib
import importlib.util
import json
import sys

from benchmarks.imaging.rows import Row
from benchmarks.options import parser

PARTS = ("convolution", "gradients", "quality", "speed", "peers")
"""In the order in which they run; a part is imported only when it is asked for."""


def main() -> int:
    """Measure the parts in turn, print, write; 1 if `--check` finds a missed target."""
    options = _options()
    rows: list[Row] = []
    for part in options.parts:
        found = importlib.import_module(f"benchmarks.imaging.{part}").run(options.quick)
        print("\n".join(map(_line, found)), end="\n\n", flush=True)
        rows.extend(found)
    if options.json:
        options.json.write_text(json.dumps([row._asdict() for row in rows], indent=1) + "\n")
    missed = [row for row in rows if row.passed is False]
    if options.check:
        print("\n".join(map(_line, missed)) if missed else "Every target is met.")
    return int(options.check and bool(missed))


def _line(row: Row) -> str:
    verdict = {None: "", True: "pass", False: "MISSED"}[row.passed]
    return f"{row.part:<16} {row.name:<52} {row.value:<26} {row.target:<18} {verdict}".rstrip()


def _options() -> argparse.Namespace:
    flags = parser("imaging", __doc__, quick="smaller problems, fewer repetitions")
    known = [part for part in PARTS if importlib.util.find_spec(f"benchmarks.imaging.{part}")]

    def names(text: str) -> list[str]:
        unknown = [name for name in text.split(",") if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown {', '.join(unknown)}; of {', '.join(known)}")
        return text.split(",")

    flags.add_argument("--parts", type=names, default=known, help="comma-separated; all if absent")
    return flags.parse_args()


if __name__ == "__main__":
    sys.exit(main())
