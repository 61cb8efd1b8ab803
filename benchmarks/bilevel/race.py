"""Time to the same outer suboptimality: ours, jaxopt, optimistix, HOAG and SOBA by hand."""

import functools
import statistics
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import unrolljax as uj
from benchmarks.bilevel import hand, libraries
from benchmarks.bilevel.problems import Bilevel
from benchmarks.bilevel.reference import Reference
from benchmarks.core import timing
from unrolljax import bilevel

ACCURACY = 1e-6
"""`(h(theta) - h*) / (h(theta0) - h*)` to be reached."""

TARGET = 1.05
"""Ours over the fastest other: no slower, to within what the medians resolve."""

MOST_STEPS, RECORD_EVERY = 160, 100
HEADER = f"{'who':34}{'steps':>7}{'run s':>9}{'spread':>8}{'ratio':>7}{'compile s':>11}"


class Competitor(NamedTuple):
    """Who, and `(data, steps) -> theta before each of them` for settings, the cheapest first."""

    who: str
    runs: list[Callable[[Any, int], Any]]


class Row(NamedTuple):
    """Steps to the accuracy, seconds of that many, over ours; or why there are none."""

    problem: str
    who: str
    steps: int = 0
    run: tuple[float, ...] = ()
    ratio: float = float("nan")
    compile: float = float("nan")
    skipped: str = ""


def measure(problem: Bilevel, reference: Reference, repetitions: int, quick: bool) -> list[Row]:
    """Find how many steps each takes, then time that many, all of them in turn."""
    runs, rows = {}, []
    for competitor in competitors(problem, quick):
        try:
            steps, run = _cheapest(competitor, problem, reference)
        except ImportError as absent:
            skipped = f"{absent.name} is not installed"
            rows.append(Row(problem.name, competitor.who, skipped=skipped))
            continue
        if run is None:
            skipped = f"not reached in {MOST_STEPS}"
            rows.append(Row(problem.name, competitor.who, skipped=skipped))
        else:
            runs[competitor.who, steps] = functools.partial(_fixed, run, steps)
    costs = timing.measure(runs, (problem.data,), repetitions, 1)
    ours = next((cost.run for (who, _), cost in costs.items() if who == OURS), None)
    for (who, steps), cost in costs.items():
        ratio = float("nan") if ours is None else timing.ratio(cost.run, ours)
        rows.append(Row(problem.name, who, steps, tuple(cost.run), ratio, cost.compile[0]))
    return rows


def _cheapest(competitor: Competitor, problem: Bilevel, reference: Reference):
    """The first settings that reach the accuracy, and in how many steps."""
    for run in competitor.runs:
        thetas = jax.jit(run, static_argnums=1)(problem.data, MOST_STEPS)
        steps = reference.steps_to(ACCURACY, thetas)
        if steps is not None:
            return steps, run
    return 0, None


def table(rows: list[Row]) -> str:
    """The rows as text, the fastest first."""
    rows = sorted(rows, key=lambda row: statistics.median(row.run) if row.run else np.inf)
    title = f"{rows[0].problem}: outer suboptimality {ACCURACY:g}; ratio over ours"
    return "\n".join([title, HEADER, "-" * len(HEADER), *map(_text, rows)])


def missed(rows: list[Row]) -> Iterable[str]:
    """A sentence for each competitor that is faster."""
    ours = [row for row in rows if row.who == OURS]
    if not ours or ours[0].skipped:
        yield f"{rows[0].problem}: ours does not reach {ACCURACY:g}"
    for row in rows:
        if row.run and not row.who.startswith("ours") and row.ratio < 1 / TARGET:
            yield f"{row.problem}: {row.who} takes {row.ratio:.2f} of our time"


OURS = "ours"


def competitors(problem: Bilevel, quick: bool) -> Iterable[Competitor]:
    """Everybody with the same outer optimizer; SOBA has none, and is given step sizes."""
    sgd = optax.sgd(problem.learning_rate, momentum=0.9, nesterov=True)
    schedule = bilevel.Geometric(1e-2, 0.9, 1e-5)
    yield Competitor(OURS, [functools.partial(_ours, problem, schedule)])
    yield Competitor(
        "HOAG by hand, optax.lbfgs",
        [
            functools.partial(hand.hoag, problem, optimizer=sgd, first=1e-3, ratio=0.9, last=last)
            for last in ((1e-6,) if quick else (1e-5, 1e-6))
        ],
    )
    for name, run in (("jaxopt", libraries.jaxopt), ("optimistix", libraries.optimistix)):
        tolerances = (1e-5,) if quick else (1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
        yield Competitor(
            name, [functools.partial(run, problem, optimizer=sgd, tol=tol) for tol in tolerances]
        )
    if not quick:
        soba = functools.partial(hand.soba, problem, every=RECORD_EVERY)
        inner_step = 1 / _largest_curvature(problem)
        yield Competitor(
            f"SOBA by hand, {RECORD_EVERY} steps each",
            [functools.partial(soba, inner_step=inner_step, outer_step=o) for o in (30, 10, 3, 1)],
        )


def _ours(problem: Bilevel, tolerance: Any, data: Any, steps: int) -> Any:
    sgd = optax.sgd(problem.learning_rate, momentum=0.9, nesterov=True)
    found = bilevel.minimize(
        problem._replace(data=data).outer_fn,
        uj.solvers.LBFGS(),
        problem._replace(data=data).problem_fn,
        problem.theta0,
        problem.x0,
        optimizer=optax.chain(_recorded(steps), sgd),
        steps=steps,
        gradient=uj.Implicit(linear_solver="cg"),
        tolerance=tolerance,
    )
    return found.state.optimizer[0][0]


def _recorded(steps: int) -> optax.GradientTransformation:
    """Keeps theta before every update in the optimizer's state."""

    def init(params):
        return jnp.zeros((steps, *params.shape), params.dtype), jnp.zeros((), jnp.int32)

    def update(updates, state, params=None):
        rows, step = state
        return updates, (rows.at[step].set(params), step + 1)

    return optax.GradientTransformation(init, update)


def _fixed(run: Callable, steps: int, data: Any) -> Any:
    return run(data, steps)


def _largest_curvature(problem: Bilevel) -> float:
    hessian = jax.hessian(problem.inner, argnums=1)(problem.theta0, problem.x0, problem.data)
    return float(np.linalg.norm(hessian, 2))


def _text(row: Row) -> str:
    if not row.run:
        return f"{row.who:34} skipped: {row.skipped}"
    middle = statistics.median(row.run)
    spread = (max(row.run) - min(row.run)) / middle
    return f"{row.who:34}{row.steps:7}{middle:9.3f}{spread:8.0%}{row.ratio:7.2f}{row.compile:11.2f}"
