"""`python -m benchmarks.bilevel [--quick] [--check] [--parts warm,race,spectra] [--json FILE]`."""

import argparse
import json
import sys
from typing import Any

import jax

from benchmarks.bilevel import race, spectra, warm
from benchmarks.bilevel.problems import logistic, ridge
from benchmarks.bilevel.reference import Reference
from benchmarks.options import parser

PARTS = ("warm", "race", "spectra")
SAMPLES, FEATURES, RUNS = 400, 200, 5
QUICK_SAMPLES, QUICK_FEATURES, QUICK_RUNS = 200, 100, 3


def main() -> int:
    """Measure, print, write; 1 if `--check` finds a missed target."""
    options = _options()
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_enable_compilation_cache", False)
    size = (QUICK_SAMPLES, QUICK_FEATURES) if options.quick else (SAMPLES, FEATURES)
    problems = [logistic(*size)] if options.quick else [logistic(*size), ridge(*size)]
    references = [Reference(problem) for problem in problems]
    found, misses = [], []

    def add(rows: list[Any], part: Any) -> None:
        print(part.table(rows), end="\n\n", flush=True)
        found.extend({"part": part.__name__.split(".")[-1]} | row._asdict() for row in rows)
        misses.extend(part.missed(rows))

    for problem, reference in zip(problems, references, strict=True):
        if "warm" in options.parts:
            add(warm.measure(problem, reference, options.quick), warm)
        if "race" in options.parts:
            runs = QUICK_RUNS if options.quick else RUNS
            add(race.measure(problem, reference, runs, options.quick), race)
    if "spectra" in options.parts:
        add(spectra.measure(options.quick), spectra)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    if options.check:
        print("\n".join(misses) if misses else "Every target is met.")
    return int(options.check and bool(misses))


def _options() -> argparse.Namespace:
    flags = parser("bilevel", __doc__, quick="one small problem, fewer conditions and competitors")
    flags.add_argument(
        "--parts", type=_names, default=PARTS, help=f"comma-separated, of {', '.join(PARTS)}"
    )
    return flags.parse_args()


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown {', '.join(unknown)}; of {', '.join(PARTS)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
