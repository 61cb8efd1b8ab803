"""`python -m benchmarks.core [--quick] [--check] [--rows ridge,lasso] [--json FILE]`."""

import argparse
import json
import sys
from collections.abc import Callable

import jax

from benchmarks.core import timing
from benchmarks.core.equilibrium import equilibrium
from benchmarks.core.lasso import lasso
from benchmarks.core.report import Line, missed, records, table
from benchmarks.core.ridge import ridge
from benchmarks.core.roots import roots
from benchmarks.core.work import Row, Work, difference, rows, value_and_grad
from benchmarks.options import parser

WORK: dict[str, Callable[[], Work]] = {
    "ridge": lambda: ridge(1000),
    "lasso": lambda: lasso(1000),
    "equilibrium": lambda: equilibrium(100),
    "roots": lambda: roots(20),
    "ridge-short": lambda: ridge(100),
}

QUICK_WORK = ("ridge", "equilibrium", "roots")

RUNS, COMPILATIONS = 15, 3
QUICK_RUNS, QUICK_COMPILATIONS = 3, 1


def main() -> int:
    """Measure, print, write; 1 if `--check` finds a missed target."""
    options = _options()
    jax.config.update("jax_enable_compilation_cache", False)
    found, misses = [], []
    for name in options.rows or (QUICK_WORK if options.quick else WORK):
        work = WORK[name]()
        lines = measure(work, options.quick)
        print(table(work.title, lines), end="\n\n", flush=True)
        found += records(work.title, lines)
        misses += missed(work.title, lines)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    if options.check:
        print("\n".join(misses) if misses else "Every target is met.")
    return int(options.check and bool(misses))


def measure(work: Work, quick: bool) -> list[Line]:
    """Every row of a work item, measured in turn; rows whose library is absent are skipped."""
    functions: dict[Row, Callable] = {}
    skipped = []
    for row in rows(work, quick):
        try:
            functions[row] = value_and_grad(work, row.solve())
        except ImportError as absent:
            skipped.append(Line(row, None, skipped=f"{absent.name} is not installed"))
    repetitions = (QUICK_RUNS, QUICK_COMPILATIONS) if quick else (RUNS, COMPILATIONS)
    costs = timing.measure(functions, work.arguments, *repetitions)
    exact = work.reference()
    by_hand = {row.mode: cost.result[1] for row, cost in costs.items() if row.who == "hand"}
    measured = [
        Line(
            row,
            cost,
            difference(cost.result[1], exact),
            difference(cost.result[1], by_hand[row.mode]),
        )
        for row, cost in costs.items()
    ]
    return measured + skipped


def _options() -> argparse.Namespace:
    flags = parser("core", __doc__, quick="fewer modes and repetitions")
    flags.add_argument("--rows", type=_names, help=f"comma-separated, of {', '.join(WORK)}")
    return flags.parse_args()


def _names(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in WORK]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown {', '.join(unknown)}; of {', '.join(WORK)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
