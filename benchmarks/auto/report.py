"""The table by kind of map, and which targets are missed."""

from collections.abc import Callable

import numpy as np

from benchmarks.auto.measure import Outcome, Row

WITHIN = 0.95
"""Share of the contractions whose error must be at most tol, or that must warn."""
COST = 1.5
"""Median cost over the cheapest fixed choice in hindsight, in products of the whole gradient."""

SHARES = (25, 50, 75)
"""Percentiles of the ratios of cost that are shown."""


def table(rows: list[Row]) -> str:
    """One line for each kind of map and one for all."""
    header = (
        f"{'':11} cases | truncated auto: within warned  silent | auto: within warned  silent"
        f" | {'whole / best':>15} {'whole / ideal':>15} {'backward / best':>15}"
        f" {'backward / ideal':>16} | truncated implicit"
    )
    kinds = list(dict.fromkeys(row.kind for row in rows))
    lines = [_line(kind, [row for row in rows if row.kind == kind]) for kind in kinds]
    return "\n".join([header, "-" * len(header), *lines, _line("all", rows)])


def ratios(rows: list[Row], against: str, of: Callable[[Outcome], int]) -> np.ndarray:
    """Cost of Auto over that of the "best" or "ideal" fixed choice, where one was good enough."""
    pairs = [(row.auto, getattr(row, against)) for row in rows]
    return np.asarray([of(auto) / of(other) for auto, other in pairs if other is not None])


def summary(rows: list[Row]) -> dict[str, float]:
    """The headline numbers: shares of the cases, and quartiles of the ratios of cost."""
    found: dict[str, float] = {"cases": len(rows)}
    for name in ("auto", "truncated"):
        outcomes = [getattr(row, name) for row in rows]
        good = np.asarray([o.error <= 1 and o.trusted for o in outcomes])
        trusted = np.asarray([o.trusted for o in outcomes])
        found |= {
            f"{name}_within": float(np.mean(good)),
            f"{name}_warned": float(np.mean(~trusted)),
            f"{name}_silent": float(np.mean(trusted & ~good)),
            f"{name}_worst_trusted": max((o.error for o in outcomes if o.trusted), default=0.0),
        }
    for against in ("best", "ideal"):
        for cost, of in (("whole", lambda o: o.whole), ("backward", lambda o: o.products)):
            quartiles = np.percentile(ratios(rows, against, of), SHARES)
            for share, ratio in zip(SHARES, quartiles, strict=True):
                found[f"{cost}_over_{against}_{share}"] = float(ratio)
    return found


def missed(rows: list[Row]) -> list[str]:
    """A sentence for each missed target."""
    found = summary(rows)
    misses = [
        f"{name}: error within tol, or a warning, on {1 - found[f'{name}_silent']:.1%} of the "
        f"contractions (target {WITHIN:.0%})"
        for name in ("auto", "truncated")
        if 1 - found[f"{name}_silent"] < WITHIN
    ]
    if not found["whole_over_best_50"] <= COST:
        ratio = f"{found['whole_over_best_50']:.2f}"
        misses.append(f"auto: median cost {ratio} times the best fixed choice's (target {COST})")
    return misses


def _line(name: str, rows: list[Row]) -> str:
    found = summary(rows)

    def shares(mode):
        parts = (found[f"{mode}_{part}"] for part in ("within", "warned", "silent"))
        return " ".join(f"{part:7.1%}" for part in parts)

    def quartiles(cost, against):
        return "/".join(f"{found[f'{cost}_over_{against}_{share}']:.2f}" for share in SHARES)

    costs = [quartiles(c, a) for c in ("whole", "backward") for a in ("best", "ideal")]
    picked = sum(row.picked == "truncated" for row in rows)
    return (
        f"{name:11} {len(rows):5} | {shares('truncated'):>31} | {shares('auto'):>23}"
        f" | {' '.join(f'{cost:>15}' for cost in costs)}  | {picked:9} {len(rows) - picked:8}"
    )
