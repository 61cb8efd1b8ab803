"""`python -m benchmarks.sparse [--quick] [--check] [--parts networks,...] [--json FILE]`."""

import argparse
import importlib
import json
import pkgutil
import sys

import benchmarks.sparse
from benchmarks.options import parser
from benchmarks.sparse.rows import Row


def main() -> int:
    """Measure the parts in turn, print, write; 1 if `--check` finds a missed target."""
    options = _options()
    rows: list[Row] = []
    for part in options.parts:
        found = importlib.import_module(f"benchmarks.sparse.{part}").run(options.quick)
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


def _parts() -> list[str]:
    """The modules of this package that have a `run`: a new part is a new file."""
    names = [m.name for m in pkgutil.iter_modules(benchmarks.sparse.__path__) if m.name[0] != "_"]
    modules = {name: importlib.import_module(f"benchmarks.sparse.{name}") for name in names}
    return [name for name, module in modules.items() if hasattr(module, "run")]


def _options() -> argparse.Namespace:
    flags = parser("sparse", __doc__, quick="smaller problems, fewer repetitions")
    flags.add_argument("--parts", type=_names, default=None, help="comma-separated; all if absent")
    options = flags.parse_args()
    options.parts = options.parts or _parts()
    return options


def _names(text: str) -> list[str]:
    known, names = _parts(), text.split(",")
    unknown = [name for name in names if name not in known]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown {', '.join(unknown)}; of {', '.join(known)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
