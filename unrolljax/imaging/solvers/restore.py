"""From measurements to an image, whichever solver does it."""

import dataclasses

import jax.numpy as jnp

from unrolljax.core.solution import Solution
from unrolljax.core.solver import Solver
from unrolljax.core.stop import Stop
from unrolljax.gradients.mode import GradientMode
from unrolljax.gradients.solve import solve
from unrolljax.imaging.restoration import Image, Restoration
from unrolljax.imaging.solvers.plug_and_play import PlugAndPlay
from unrolljax.solvers.admm import ADMM
from unrolljax.solvers.kkt import KKT, with_zero_dual
from unrolljax.solvers.primal_dual import PrimalDual


def restore(
    solver: Solver,
    problem: Restoration,
    start: Image | None = None,
    *,
    gradient: GradientMode | None = None,
    stop: Stop | None = None,
) -> Solution:
    """Solve a restoration; the solution's value is the image, differentiable as `gradient` says.

    `uj.solve` with the solver's own unknown made from `start` and the image read from what it
    returns: plug-and-play solvers, and the core's (ADMM and primal-dual start without multiplier).

    - `start`: an image; by default the data term's own (`data.start()`).
    - `gradient`, `stop`: as for `solve`.
    """
    if start is None:
        start = problem.data.start()
    start = jnp.asarray(start)
    solution = solve(
        solver, problem, _unknown(solver, problem, start), gradient=gradient, stop=stop
    )
    image = solution.value
    if isinstance(solver, PlugAndPlay):
        image = solver.image(problem, image)
    elif isinstance(image, KKT):
        image = image.primal
    return dataclasses.replace(solution, value=image)


def _unknown(solver: Solver, problem: Restoration, start: Image):
    if isinstance(solver, PlugAndPlay):
        return solver.unknown(problem, start)
    return with_zero_dual(problem, start) if isinstance(solver, ADMM | PrimalDual) else start
