"""`python -m benchmarks.auto [--quick] [--check] [--json FILE]`.

Random contractions under `Auto(tol)`, `Truncated("auto", tol)` and every fixed choice of mode: how
often the error is within tol, and the cost over that of the cheapest fixed choice in hindsight.
"""

import json
import statistics
import sys

import jax

from benchmarks.auto.contractions import contractions
from benchmarks.auto.measure import measure
from benchmarks.auto.report import missed, summary, table
from benchmarks.auto.seconds import seconds
from benchmarks.options import parser


def main() -> int:
    """Measure, print, write; 1 if `--check` finds a missed target."""
    options = parser("auto", __doc__, quick="fewer contractions, of two sizes").parse_args()
    jax.config.update("jax_enable_x64", True)
    some = contractions(72, sizes=(20, 100)) if options.quick else contractions(240)
    cases = list(some)
    rows = [measure(case) for case in cases]
    found = summary(rows)
    print(table(rows))
    for name in ("truncated", "auto"):
        print(f"{name}: worst trusted error {found[f'{name}_worst_trusted']:.2f} of tol")
    winners = [row.best_name.split()[0] for row in rows if row.best is not None]
    counts = {name: winners.count(name) for name in sorted(set(winners))}
    print(f"best fixed choice in hindsight: {counts}, none in {len(rows) - len(winners)}")
    timed = [pair for pair in zip(cases, rows, strict=True) if pair[1].best is not None]
    ratios = []
    for case, row in timed[:: len(timed) // (2 if options.quick else 12)]:
        auto, best = seconds(case, row)
        ratios.append(auto / best)
        print(f"{row.kind:11} n={len(case.shift):<4} auto {1e3 * auto:7.2f} ms, ", end="")
        print(f"{row.best_name} {1e3 * best:.2f} ms")
    found["seconds_ratio_50"] = statistics.median(ratios)
    print(f"run time, median ratio: {found['seconds_ratio_50']:.2f}")
    if options.json:
        records = [row._asdict() for row in rows]
        options.json.write_text(json.dumps({"summary": found, "rows": records}, indent=1) + "\n")
    misses = missed(rows)
    if options.check:
        print("\n".join(misses) if misses else "Every target is met.")
    return int(options.check and bool(misses))


if __name__ == "__main__":
    sys.exit(main())
