"""Status codes: how a solve ended, as data."""

from enum import IntEnum
from typing import SupportsInt


class Status(IntEnum):
    """How a solve ended. Stored as int32 arrays; one code per element of a batch.

    Inside jit a failure is only ever one of these numbers; the sentence that belongs to it is
    read on the host, by `describe` or `Solution.raise_if_failed`.
    """

    CONVERGED = 0
    COMPLETED = 1
    MAX_STEPS = 2
    DIVERGED = 3
    NONFINITE = 4
    ADJOINT_MAX_STEPS = 5
    ADJOINT_BREAKDOWN = 6
    CAPACITY_EXCEEDED = 7
    RUNNING = 8
    SINGULAR = 9
    UNCERTAIN = 10

    @property
    def failed(self) -> bool:
        """Whether a result with this status must not be used as a solution."""
        return self not in (Status.CONVERGED, Status.COMPLETED)

    @property
    def message(self) -> str:
        """What probably went wrong and which argument to change."""
        return _MESSAGES[self]


_MESSAGES = {
    Status.CONVERGED: "The residual fell below the tolerance.",
    Status.COMPLETED: "All steps ran; Stop(tol=None) asked for no convergence test.",
    Status.MAX_STEPS: (
        "The residual was still above the tolerance after the last step. Raise "
        "Stop(max_steps=...), loosen Stop(tol=...), or choose a larger step size or a faster "
        "solver."
    ),
    Status.DIVERGED: (
        "The residual grew instead of shrinking. Lower the solver's step_size (below 1/L for "
        "gradient steps) or check that the fixed-point map is a contraction."
    ),
    Status.NONFINITE: (
        "A NaN or an infinity appeared in the iterate. Check the problem's data and x0 for "
        "non-finite values, then lower the solver's step_size."
    ),
    Status.ADJOINT_MAX_STEPS: (
        "The adjoint system was not solved to its tolerance. Raise Implicit(max_steps=...), loosen "
        "Implicit(tol=...), or pass Implicit(preconditioner=...)."
    ),
    Status.ADJOINT_BREAKDOWN: (
        "The adjoint system has no usable solution: the condition's Jacobian is singular or not "
        "finite at the solution. Make the minimiser unique (add curvature or regularisation), or "
        "choose Implicit(linear_solver='dense') for a small problem to see which it is."
    ),
    Status.CAPACITY_EXCEEDED: (
        "More coordinates are active at the solution than Implicit(capacity=...) has room for. "
        "Raise the capacity to at least the size of the support."
    ),
    Status.RUNNING: "The solve had not ended.",
    Status.SINGULAR: (
        "The condition's Jacobian vanishes or changes too fast at the solution, which may have no "
        "derivative there. Make the minimiser unique and curved (add regularisation); if it is, "
        "lower Stop(tol=...) so that the solve ends closer to it."
    ),
    Status.UNCERTAIN: (
        "Corrections of the gradient did not settle, so that its error is unknown. Lower "
        "Stop(tol=...), or raise certify(max_rounds=...)."
    ),
}


def describe(code: SupportsInt) -> str:
    """The name and the advice that belong to a status code, in one line (host only)."""
    status = Status(int(code))
    return f"{status.name}: {status.message}"
