"""What a solver is: an algorithm as four pure functions, and the condition its result meets."""

from typing import Any, NamedTuple

import equinox as eqx
from jaxtyping import Array, PyTree

from unrolljax.core import trees

State = Any
Problem = Any


class Structure(NamedTuple):
    """What is known of the Jacobian of a solver's optimality condition at a solution.

    It is declared by the condition, never guessed from data; the adjoint solve relies on it.
    `positive_definite` implies `symmetric`.
    """

    symmetric: bool = False
    positive_definite: bool = False


class Solver(eqx.Module):
    """An algorithm and its numbers, as a pytree.

    A subclass writes `init`, `step` and `read`. The unknown x that `read` returns has the
    structure, shapes and dtypes of x0. Numbers that a user may sweep are plain fields (array
    leaves: changing one compiles nothing); structure is `eqx.field(static=True)`. A solver never
    mentions gradients: it only says which condition its solution meets (`optimality`).
    """

    @property
    def differentiable_step(self) -> bool:
        """Whether reverse mode can go through `step` (no `while_loop` on a differentiated path)."""
        return True

    def init(self, problem: Problem, x0: PyTree[Array]) -> State:
        """The state from which stepping starts at `x0`."""
        raise NotImplementedError(f"{type(self).__name__} must define init(problem, x0).")

    def step(self, problem: Problem, state: State) -> State:
        """One iteration."""
        raise NotImplementedError(f"{type(self).__name__} must define step(problem, state).")

    def read(self, state: State) -> PyTree[Array]:
        """The unknown x held by a state."""
        raise NotImplementedError(f"{type(self).__name__} must define read(state).")

    def optimality(self, problem: Problem, x: PyTree[Array]) -> PyTree[Array]:
        """Residual with the structure of x that is zero at a solution.

        By default the fixed-point residual `x - read(step(init(x)))`. Implicit gradients
        differentiate this function, so its Jacobian in x must be regular at a solution.
        """
        return trees.subtract(x, self.read(self.step(problem, self.init(problem, x))))

    def structure(self, problem: Problem) -> Structure:
        """Declared structure of the Jacobian of `optimality` at a solution."""
        del problem
        return Structure()

    def support(self, problem: Problem, x: PyTree[Array]) -> PyTree[Array] | None:
        """Boolean mask of the coordinates in which `optimality` holds, or None for all.

        Coordinates outside are zero and stay zero when the problem changes a little (the active
        set of a sparse penalty). Inside, `optimality` must be the gradient of a twice
        differentiable function at a strict minimum: the adjoint system is solved on the support
        only, as a symmetric positive definite one.
        """
        del problem, x
        return None

    def objective(self, problem: Problem, x: PyTree[Array]) -> Array | None:
        """The objective value at x, or None for a problem that has none."""
        return problem.objective(x) if hasattr(problem, "objective") else None

    def residual(self, problem: Problem, before: State, after: State) -> PyTree[Array]:
        """What the loop measures to stop, in the units of x. By default the step just taken."""
        del problem
        return trees.subtract(self.read(after), self.read(before))
