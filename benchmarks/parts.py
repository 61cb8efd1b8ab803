"""A benchmark in parts: each public module of its package is one, with a `run(quick)`."""

import argparse
import importlib
import json
import pkgutil
from types import ModuleType
from typing import NamedTuple

from benchmarks.options import parser


class Row(NamedTuple):
    """One measured figure; `passed` is None where there is no target (a peer, an ablation)."""

    part: str
    name: str
    value: str
    target: str = ""
    passed: bool | None = None


def main(package: ModuleType) -> int:
    """Measure the parts in turn, print, write; 1 if `--check` finds a missed target.

    A part is imported only where it is asked for: it may need what is not installed.
    """
    options = _options(package)
    rows: list[Row] = []
    for part in options.parts:
        found = importlib.import_module(f"{package.__name__}.{part}").run(options.quick)
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


def _options(package: ModuleType) -> argparse.Namespace:
    name = package.__name__.rpartition(".")[2]
    known = [m.name for m in pkgutil.iter_modules(package.__path__) if m.name[0] != "_"]

    def names(text: str) -> list[str]:
        unknown = [name for name in text.split(",") if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown {', '.join(unknown)}; of {', '.join(known)}")
        return text.split(",")

    flags = parser(name, package.__doc__, quick="smaller problems, fewer repetitions")
    flags.add_argument("--parts", type=names, default=known, help=f"of {', '.join(known)}")
    return flags.parse_args()
