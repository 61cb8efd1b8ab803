"""Unrolled differentiation: reverse (or forward) mode through every step of the loop."""

from typing import Any

import equinox as eqx
from jaxtyping import Array, PyTree

from unrolljax.core.loop import Checkpoint, run
from unrolljax.core.solution import Solution
from unrolljax.core.solver import Problem, Solver
from unrolljax.core.stop import Stop
from unrolljax.gradients.mode import GradientMode, assemble


class Unroll(GradientMode):
    """The derivative of the iterate that the loop ran to, through all its steps.

    Exact for the program that ran, converged or not, and differentiable in x0. Memory grows with
    `Stop.max_steps`; `checkpoint` trades it against a second forward pass:

    - None: tape every step's intermediates;
    - "all": keep every state, recompute the intermediates of one step at a time;
    - an integer k: keep every k-th state, recompute k steps at a time;
    - "sqrt": k of about the square root of max_steps (Griewank & Walther 2008, ch. 12).
    """

    checkpoint: Checkpoint = eqx.field(default=None, static=True)

    def __check_init__(self):
        named = self.checkpoint in (None, "sqrt", "all")
        counted = type(self.checkpoint) is int and self.checkpoint >= 1
        if not (named or counted):
            raise ValueError(
                f"Unroll(checkpoint={self.checkpoint!r}) is unknown. Use None, 'sqrt', 'all' or a "
                "positive integer (steps between two stored states)."
            )

    def check(self, solver: Solver, stop: Stop, dtype: Any) -> None:
        """Refuse solvers whose step reverse mode cannot enter."""
        del stop, dtype
        self._needs_a_differentiable_step(solver)

    def solve(self, solver: Solver, problem: Problem, x0: PyTree[Array], stop: Stop) -> Solution:
        """Scan `stop.max_steps` steps; those after convergence leave the iterate as it is."""
        start = solver.init(problem, x0)
        state, info = run(solver, problem, start, stop, taped=True, checkpoint=self.checkpoint)
        return assemble(solver, problem, solver.read(state), state, info)
