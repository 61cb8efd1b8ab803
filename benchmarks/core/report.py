"""One table for a work item, and which targets it misses."""

import math
import statistics
from collections.abc import Iterable
from typing import Any, NamedTuple

from benchmarks.core.timing import Cost, ratio
from benchmarks.core.work import Row

RUN_TARGET, COMPILE_TARGET = 1.1, 1.3
"""Ours over hand-written: run time, and seconds to trace, lower and compile."""

PEER_TARGET = 1.05
"""Ours over a peer's run time: no slower, to within what the medians resolve."""

AGREEMENT = 1e-2
"""Relative difference up to which two gradients of the same mode agree in float32."""


class Line(NamedTuple):
    """A measured row, or a skipped one with the reason.

    `error` is the gradient's relative difference to the exact one, `to_hand` to the hand-written
    row of the same mode.
    """

    row: Row
    cost: Cost | None
    error: float = math.nan
    to_hand: float = math.nan
    skipped: str = ""


def table(title: str, lines: list[Line]) -> str:
    """The work item as text: medians, spread, ratios to the hand-written row of the same mode."""
    header = (
        f"{'mode':24}{'who':25}{'run ms':>9}{'min':>9}{'spread':>8}{'ratio':>7}"
        f"{'compile s':>11}{'ratio':>7}{'temp MB':>9}{'error':>9}"
    )
    return "\n".join([title, header, "-" * len(header), *(_text(lines, line) for line in lines)])


def records(title: str, lines: list[Line]) -> list[dict[str, Any]]:
    """The same for JSON, with every measured time."""
    return [_record(title, lines, line) for line in lines]


def missed(title: str, lines: list[Line]) -> list[str]:
    """A sentence for each target that ours misses on this work item."""
    measured = [line for line in lines if line.cost is not None]
    return [
        f"{title}: {line.row.mode}: {complaint}"
        for line in measured
        if line.row.who == "ours"
        for complaint in _complaints(measured, line)
    ]


def _complaints(lines: list[Line], ours: Line) -> Iterable[str]:
    run, compiling = _ratios(lines, ours)
    if run > RUN_TARGET:
        yield f"run time {run:.2f} times hand-written (target {RUN_TARGET})"
    if compiling > COMPILE_TARGET:
        yield f"compile time {compiling:.2f} times hand-written (target {COMPILE_TARGET})"
    if not ours.to_hand <= AGREEMENT:
        yield f"gradient differs by {ours.to_hand:.1e} from hand-written"
    for peer in lines:
        if peer.row.mode == ours.row.mode and peer.row.who not in ("hand", "ours"):
            slower = ratio(_cost(ours).run, _cost(peer).run)
            if slower > PEER_TARGET:
                yield f"run time {slower:.2f} times that of {peer.row.who}"


def _text(lines: list[Line], line: Line) -> str:
    name = f"{line.row.mode:24}{line.row.who:25}"
    if line.cost is None:
        return f"{name} skipped: {line.skipped}"
    run, compiling = _ratios(lines, line)
    times = line.cost.run
    middle = statistics.median(times)
    spread = (max(times) - min(times)) / middle
    return (
        f"{name}{1e3 * middle:9.2f}{1e3 * min(times):9.2f}{spread:8.0%}{run:7.2f}"
        f"{statistics.median(line.cost.compile):11.2f}{compiling:7.2f}"
        f"{line.cost.temporary / 2**20:9.2f}{line.error:9.0e}"
    )


def _record(title: str, lines: list[Line], line: Line) -> dict[str, Any]:
    record: dict[str, Any] = {"work": title, "mode": line.row.mode, "who": line.row.who}
    if line.cost is None:
        return record | {"skipped": line.skipped}
    run, compiling = _ratios(lines, line)
    return record | {
        "run_s": statistics.median(line.cost.run),
        "run_ratio": run,
        "compile_s": statistics.median(line.cost.compile),
        "compile_ratio": compiling,
        "temporary_bytes": line.cost.temporary,
        "gradient_error": line.error,
        "difference_to_hand": line.to_hand,
        "run_times_s": line.cost.run,
        "compile_times_s": line.cost.compile,
    }


def _ratios(lines: list[Line], line: Line) -> tuple[float, float]:
    """Run and compile time over those of the hand-written row of the same mode."""
    (hand,) = (o for o in lines if o.row.mode == line.row.mode and o.row.who == "hand")
    mine, base = _cost(line), _cost(hand)
    return ratio(mine.run, base.run), ratio(mine.compile, base.compile)


def _cost(line: Line) -> Cost:
    assert line.cost is not None
    return line.cost
