"""`python -m benchmarks.least_squares [--quick] [--check] [--json FILE]`."""

import json
import sys
from collections.abc import Iterable

import jax

from benchmarks.least_squares.certified import Row, rows
from benchmarks.least_squares.coverage import coverage
from benchmarks.least_squares.multistart import Timing, timings
from benchmarks.least_squares.nist import PROBLEMS
from benchmarks.options import parser

DIGITS = 6.0
LEAST_COVERAGE, MOST_COVERAGE = 0.90, 0.98
QUICK = ("Misra1a", "MGH09", "MGH10", "BoxBOD", "Rat43")


def main() -> int:
    """Measure, print, write; 1 if `--check` finds a missed target."""
    options = parser("least_squares", __doc__, quick="five of the 27 problems").parse_args()
    jax.config.update("jax_enable_x64", True)
    chosen = [p for p in PROBLEMS if not options.quick or p.name in QUICK]
    print("problem    level    start  status     steps digits deviations   scipy evaluations")
    found = []
    for problem in chosen:
        for row in rows(problem):
            found.append(row)
            print(_text(row), flush=True)
    shares, failed = coverage(seed=0)
    print(f"coverage of 95 % intervals: {', '.join(f'{s:.3f}' for s in shares)}; failed: {failed}")
    raced = timings(3 if options.quick else 9)
    for timing in raced:
        print(
            f"{timing.who:10} {1e3 * timing.seconds:9.1f} ms for 64 starts, best cost "
            f"{timing.best_cost:.8g}, reached by {timing.reached:.0%}"
        )
    if options.json:
        numbers = {
            "nist": [row._asdict() for row in found],
            "coverage": shares,
            "multistart": [timing._asdict() for timing in raced],
        }
        options.json.write_text(json.dumps(numbers, indent=1) + "\n")
    misses = list(missed(found, shares, failed, raced))
    if options.check:
        print("\n".join(misses) if misses else "Every target is met.")
    return int(options.check and bool(misses))


def missed(
    found: list[Row], shares: list[float], failed: int, raced: list[Timing]
) -> Iterable[str]:
    """A sentence for each missed target."""
    for row in found:
        if row.status != "CONVERGED" or row.digits < DIGITS:
            yield f"{row.problem} from start {row.start}: {row.status}, {row.digits:.1f} digits"
        elif row.scipy_digits >= DIGITS and row.agreement < DIGITS:
            yield f"{row.problem} from start {row.start}: {row.agreement:.1f} digits as scipy's"
    for number, share in enumerate(shares):
        if not LEAST_COVERAGE <= share <= MOST_COVERAGE:
            yield f"coverage of parameter {number}: {share:.3f}"
    if failed:
        yield f"{failed} synthetic fits failed"
    ours, *peers = raced
    for peer in peers:
        if ours.seconds > peer.seconds:
            yield f"multistart: {ours.seconds / peer.seconds:.2f} times the time of {peer.who}"


def _text(row: Row) -> str:
    return (
        f"{row.problem:10} {row.level:8} {row.start:5}  {row.status:10} {row.steps:5} "
        f"{row.digits:6.1f} {row.deviation_digits:10.1f} {row.scipy_digits:7.1f} "
        f"{row.scipy_evaluations:11}"
    )


if __name__ == "__main__":
    sys.exit(main())
