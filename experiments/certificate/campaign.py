"""Estimated against true errors of hypergradients: systems x solvers x modes x tolerances."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

import unrolljax as uj
from experiments.certificate import maps, smooth, sparse
from experiments.certificate.reference import exact_gradient
from experiments.certificate.system import System

SMALLEST, LARGEST = 1e-10, 1.0
"""True errors between which an estimate counts."""

MAX_STEPS = 20_000
"""Of a solve; where they do not suffice there is no gradient to certify."""

MODES = {
    "one step": uj.OneStep(),
    "Neumann": uj.Neumann(20),
    "truncated": uj.Truncated("auto"),
}
"""Modes beside the implicit one, each on the first solver of a system; and unrolling."""


class Case(NamedTuple):
    """One certificate and the truth.

    - `solved`: whether the solve and its adjoint gave a gradient at all.
    - `steps`: inner steps and adjoint iterations; `estimate_steps`: those of the estimate.
    """

    system: str
    solver: str
    mode: str
    tol: float
    solved: bool
    status: str
    error: float
    estimate: float
    bound: float | None
    steps: int
    estimate_steps: int

    @property
    def counts(self) -> bool:
        """Whether there is a gradient, its true error in the range of interest or not estimated."""
        return self.solved and (self.flagged or SMALLEST <= self.error <= LARGEST)

    @property
    def flagged(self) -> bool:
        """Whether the estimate says that it cannot be relied on."""
        return self.status != "CONVERGED"

    @property
    def ratio(self) -> float:
        """Estimate over truth."""
        return self.estimate / self.error


def systems(quick: bool) -> list[System]:
    """Every system; a few of them where it must be quick."""
    few = [smooth.quadratic(1e3), sparse.lasso("support"), maps.equilibrium(False)]
    if quick:
        return few
    return [
        *[smooth.quadratic(condition) for condition in (1e1, 1e2, 1e3, 1e4, 1e5)],
        *[smooth.logistic(ridge) for ridge in (1e-1, 1e-3)],
        smooth.lattice(),
        smooth.squares(),
        *[sparse.lasso(kind) for kind in ("support", "prox", "saddle")],
        *[maps.equilibrium(as_root) for as_root in (False, True)],
        *[maps.non_normal(*numbers) for numbers in ((0.5, 0.9), (0.9, 0.3), (0.9, 0.8))],
    ]


def run(chosen: Sequence[System], tolerances: Sequence[float], quick: bool) -> Iterator[Case]:
    """The cases of these systems, one after the other; in float64."""
    for system in chosen:
        solvers = dict(list(system.solvers.items())[:1]) if quick else system.solvers
        print(f"certifying: {system.name}", flush=True)
        exact = exact_gradient(system, next(iter(system.solvers.values())))
        for name, solver in solvers.items():
            for tol in tolerances:
                implicit = uj.Implicit(tol=jnp.asarray(tol), max_steps=3000)
                stop = uj.Stop(MAX_STEPS, tol)
                yield certified(system, name, solver, "implicit", implicit, stop, exact)
        name, solver = next(iter(solvers.items()))
        for mode, gradient in MODES.items():
            for tol in tolerances[::3]:
                stop = uj.Stop(MAX_STEPS, tol)
                yield certified(system, name, solver, mode, gradient, stop, exact)
        for steps in (10, 100):
            stop = uj.Stop(steps, None)
            yield certified(system, name, solver, "unroll", uj.Unroll(), stop, exact)


def certified(
    system: System,
    name: str,
    solver: uj.Solver,
    mode: str,
    gradient: uj.GradientMode,
    stop: uj.Stop,
    exact: NDArray,
) -> Case:
    """One case."""
    theta, x0 = jax.tree.map(jnp.asarray, (system.theta, system.x0))
    found = uj.certify(
        system.outer,
        solver,
        system.problem_fn,
        theta,
        x0,
        gradient=gradient,
        stop=stop,
        constants=system.constants,
    )
    error = np.linalg.norm(np.asarray(found.gradient) - exact) / np.linalg.norm(exact)
    adjoint_steps = 0 if found.linear is None else int(found.linear.steps)
    status = uj.Status(int(found.status))
    return Case(
        system.name,
        name,
        mode,
        float("nan") if stop.tol is None else float(stop.tol),
        bool(np.isfinite(error)) or status == uj.Status.SINGULAR,
        status.name,
        float(error),
        float(found.error),
        None if found.bound is None else float(found.bound),
        int(found.solution.steps) + adjoint_steps,
        int(found.steps),
    )


def summarise(cases: Sequence[Case]) -> dict[str, float | int]:
    """The headline numbers."""
    counted = [case for case in cases if case.counts]
    ratios = np.array([case.ratio for case in counted])
    bounds = [case for case in counted if case.bound is not None]
    cost = [case.estimate_steps / case.steps for case in counted]
    return {
        "cases": len(counted),
        "share within [0.5, 2]": float(np.mean((ratios >= 0.5) & (ratios <= 2))),
        "share within [0.1, 10]": float(np.mean((ratios >= 0.1) & (ratios <= 10))),
        "flagged, not estimated": sum(case.flagged for case in counted),
        "bounds": len(bounds),
        "bounds violated": sum(case.bound < case.error for case in bounds),  # pyright: ignore
        "iterations of the estimate over the gradient's, median": float(np.median(cost)),
        "no gradient (failed solves)": sum(not case.solved for case in cases),
    }
