"""What a comparison of gradient modes found, as data, as a table and as JSON."""

import dataclasses
import json
import math
from typing import Any

import numpy as np

from unrolljax.core.status import Status
from unrolljax.gradients.checks.differences import Differences

RESOLVED = 1e-3
"""Differences that are less certain than this, relatively, are remarked upon."""


@dataclasses.dataclass(frozen=True)
class Row:
    """One gradient mode; the numbers are NaN where it was refused.

    - `value`: the loss. `slopes`: of it along the directions of the differences.
    - `error`, `cosine`: of the slopes against the differences, all directions without a kink
      together; `from_implicit`: relative difference of the whole gradient from the implicit one.
    - `compile_seconds` (tracing included; less where JAX's compilation cache has the program),
      `run_milliseconds` (median), `temporary_megabytes` (of 1e6 bytes, as XLA plans them).
    - `status`: how the solves of the loss ended, or "refused: " and the reason.
    """

    name: str
    status: str
    value: float = np.nan
    error: float = np.nan
    cosine: float = np.nan
    from_implicit: float = np.nan
    compile_seconds: float = np.nan
    run_milliseconds: float = np.nan
    temporary_megabytes: float = np.nan
    slopes: tuple[float, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether the mode could not serve."""
        return self.status.startswith("refused: ")


COLUMNS = (
    "value",
    "relative error",
    "cosine",
    "from implicit",
    "compile s",
    "run ms",
    "temporary MB",
)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Gradient modes against finite differences; `print` shows the table and its remarks."""

    rows: tuple[Row, ...]
    differences: Differences

    def __getitem__(self, name: str) -> Row:
        """The row of a mode."""
        return next(row for row in self.rows if row.name == name)

    @property
    def kinks(self) -> tuple[bool, ...]:
        """For each direction, whether the loss has a kink there and no slope to compare with."""
        return tuple(self.differences.kinks.tolist())

    @property
    def at_kink(self) -> bool:
        """Whether there is a kink along every direction, so that nothing can be compared."""
        return all(self.kinks)

    @property
    def uncertainty(self) -> float:
        """Of the differences, relative, over all directions without a kink together."""
        smooth = ~self.differences.kinks
        spread = self.differences.uncertainties[smooth]
        return ratio(np.linalg.norm(spread), np.linalg.norm(self.differences.slopes[smooth]))

    @property
    def remarks(self) -> list[str]:
        """Sentences on what limits the comparison: kinks, failed solves, noise, precision."""
        return list(filter(None, (_kinks(self), _failures(self), _noise(self))))

    def as_json(self) -> str:
        """The whole comparison; what is not finite becomes null."""
        own = self.differences._asdict() | {"uncertainty": self.uncertainty}
        content = {
            "modes": [dataclasses.asdict(row) for row in self.rows],
            "differences": own,
            "remarks": self.remarks,
        }
        return json.dumps(_plain(content), indent=1)

    def __str__(self) -> str:
        return "\n".join([_table(self), *self.remarks])


def ratio(difference: float | np.floating, size: float | np.floating) -> float:
    """A relative difference; infinite where only the size is zero."""
    return float(difference / size) if size else (float("inf") if difference else float("nan"))


def _table(comparison: Comparison) -> str:
    """A line a row, and one of the differences; what a refused mode says takes the columns."""
    own = comparison.differences
    ended = ", ".join(f"{n} {name}" for name, n in own.solves.items()) or "-"
    lines = [
        (row.name, [row.status]) if row.refused else (row.name, [*_numbers(row), row.status])
        for row in comparison.rows
    ]
    certain = [f"{own.value:.6g}", f"+-{comparison.uncertainty:.1e}", *["-"] * 5, ended]
    whole = [("mode", [*COLUMNS, "status"]), *lines, ("differences", certain)]
    first = max(len(name) for name, _ in whole)
    full = [cells for _, cells in whole if len(cells) > 1]
    widths = [max(map(len, column)) for column in zip(*full, strict=True)][:-1]

    def line(name: str, cells: list[str]) -> str:
        *numbers, last = cells
        padded = [f"{cell:>{width}}" for cell, width in zip(numbers, widths, strict=False)]
        return "  ".join([f"{name:{first}}", *padded, last])

    return "\n".join(line(*entry) for entry in whole)


def _numbers(row: Row) -> list[str]:
    """The cells of `COLUMNS`."""
    return [
        f"{row.value:.6g}",
        f"{row.error:.1e}",
        f"{row.cosine:.6f}",
        "-" if math.isnan(row.from_implicit) else f"{row.from_implicit:.1e}",
        f"{row.compile_seconds:.2f}",
        _short(row.run_milliseconds),
        _short(row.temporary_megabytes),
    ]


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _kinks(comparison: Comparison) -> str:
    kinks = comparison.kinks
    if not any(kinks):
        return ""
    if comparison.at_kink:
        return (
            "At a kink: along every direction the one-sided slopes differ, or the support of the "
            "solution changes within the smallest step, so that there is no gradient to compare "
            "with. Move theta."
        )
    where = ", ".join(str(k + 1) for k, kink in enumerate(kinks) if kink)
    return f"At a kink along {sum(kinks)} of {len(kinks)} directions ({where}): they are left out."


def _failures(comparison: Comparison) -> str:
    solves = comparison.differences.solves
    failed = {name: n for name, n in solves.items() if Status[name].failed}
    if not failed:
        return ""
    ends = ", ".join(f"{n} {name}" for name, n in failed.items())
    return (
        f"Of {sum(solves.values())} tight solves for the differences {ends}: the differences are "
        "as wrong as these solutions. Raise Stop(max_steps=...) or choose a faster solver."
    )


def _noise(comparison: Comparison) -> str:
    own = comparison.differences
    if own.precision != "float64":
        return (
            f"The loss computes in {own.precision}, so its differences are rounded: let it keep "
            "the dtype of theta and x0."
        )
    if comparison.at_kink or comparison.uncertainty <= RESOLVED:
        return ""
    return (
        f"The differences are uncertain by {comparison.uncertainty:.1e}: smaller errors are not "
        "resolved. The loss is noisy or has kinks close to theta."
    )


def _plain(value: Any) -> Any:
    """What JSON can hold."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value
