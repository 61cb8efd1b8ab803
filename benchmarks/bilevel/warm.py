"""What warm starts save: iterations of an outer run of 100 steps, cold and warm."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

import unrolljax as uj
from benchmarks.bilevel.problems import Bilevel
from benchmarks.bilevel.reference import Reference
from unrolljax import bilevel

TARGET = 2.0
"""Total inner and adjoint iterations of cold starts over those of warm ones."""

ACCURACY = 1e-5
"""Relative error of the last gradient up to which all the runs must come."""

STEPS = 100
TOLERANCE = 1e-8
"""Of the last step, inner and adjoint."""

TOLERANCES = {
    "falling": bilevel.Geometric(1e-2, (TOLERANCE / 1e-2) ** (1 / STEPS), TOLERANCE),
    "constant": bilevel.Geometric(TOLERANCE, 1.0),
}
"""The target is for falling tolerances, as HOAG has them: cold and warm runs follow the same."""

STARTS = {
    "cold": (),
    "warm solution": ("solution",),
    "warm adjoint": ("adjoint",),
    "warm both": ("solution", "adjoint"),
}
HEADER = (
    f"{'tolerances':12}{'starts':16}{'inner':>9}{'adjoint':>9}{'total':>9}{'saved':>8}"
    f"{'last value':>16}{'gradient error':>16}"
)


class Row(NamedTuple):
    """Iterations of a run, and the relative error of the gradient at its end."""

    problem: str
    tolerances: str
    starts: str
    inner: int
    adjoint: int
    ratio: float
    value: float
    error: float


def measure(problem: Bilevel, reference: Reference, quick: bool) -> list[Row]:
    """One run for every schedule and choice of starts."""
    schedules = ("falling",) if quick else tuple(TOLERANCES)
    return [row for name in schedules for row in _compare(problem, reference, name)]


def _compare(problem: Bilevel, reference: Reference, tolerances: str) -> list[Row]:
    rows: list[Row] = []
    for name, warm in STARTS.items():
        found = _run(problem, tolerances, warm).raise_if_failed()
        inner, adjoint = (
            int(np.sum(steps)) for steps in (found.history.steps, found.history.adjoint_steps)
        )
        cold = rows[0].inner + rows[0].adjoint if rows else inner + adjoint
        error = _error(problem, reference, found, warm)
        last = float(found.history.value[-1])
        ratio = cold / (inner + adjoint)
        rows.append(Row(problem.name, tolerances, name, inner, adjoint, ratio, last, error))
    return rows


def table(rows: list[Row]) -> str:
    """The runs as text."""
    lines = [
        f"{row.tolerances:12}{row.starts:16}{row.inner:9}{row.adjoint:9}"
        f"{row.inner + row.adjoint:9}{row.ratio:8.2f}{row.value:16.9f}{row.error:16.1e}"
        for row in rows
    ]
    title = f"{rows[0].problem}: {STEPS} outer steps, last tolerance {TOLERANCE:g}"
    return "\n".join([title, HEADER, "-" * len(HEADER), *lines])


def missed(rows: list[Row]) -> Iterable[str]:
    """A sentence for each missed target."""
    for row in rows:
        both = row.starts == "warm both" and row.tolerances == "falling"
        if both and row.ratio < TARGET:
            yield f"{row.problem}: warm starts save a factor of {row.ratio:.2f} (target {TARGET})"
        if not row.error <= ACCURACY:
            yield f"{row.problem}: the gradient of '{row.starts}' is off by {row.error:.1e}"


def _options() -> dict[str, Any]:
    return {
        "gradient": uj.Implicit(linear_solver="cg", tol=TOLERANCE),
        "stop": uj.Stop(max_steps=2000, tol=TOLERANCE),
    }


def _run(problem: Bilevel, tolerances: str, warm: tuple[str, ...]) -> bilevel.Minimum:
    optimizer = jax.tree_util.Partial(optax.sgd, problem.learning_rate, momentum=0.9, nesterov=True)
    return bilevel.minimize(
        problem.outer_fn, uj.solvers.LBFGS(), problem.problem_fn, problem.theta0, problem.x0,
        optimizer=optimizer, steps=STEPS, warm=warm, tolerance=TOLERANCES[tolerances], **_options(),
    )  # fmt: skip


def _error(problem: Bilevel, reference: Reference, found: Any, warm: tuple[str, ...]) -> float:
    """Of the gradient at the end, made as the run would make its next one."""
    start = found.x if "solution" in warm else problem.x0
    again = bilevel.hypergradient(
        problem.outer_fn, uj.solvers.LBFGS(), problem.problem_fn, found.theta, start,
        adjoint=found.state.adjoint if "adjoint" in warm else None, **_options(),
    )  # fmt: skip
    _, exact = reference.value_and_gradient(found.theta)
    # At the end the gradient is nearly zero: its error counts beside the direct and the indirect
    # part, which cancel there.
    indirect = exact - reference.direct_gradient(found.theta)
    return float(np.linalg.norm(again.gradient - exact) / np.linalg.norm(indirect))
