"""What a solve returns."""

from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from unrolljax.core.loop import Info
from unrolljax.core.status import Status, describe


class SolveFailed(RuntimeError):
    """Raised on the host by `Solution.raise_if_failed`."""


class Solution(eqx.Module):
    """A solution with its status.

    - `value`: x, with the structure of x0; differentiable as the gradient mode says.
    - `objective`: `problem.objective(value)`, differentiable; None if the problem has none.
    - `state`: a solver state at the solution, differentiable: the loop's last one where the loop
      was taped, else rebuilt from `value`.
    - `info`: residual, steps, status, measured rate, trace. The residual, rate and trace have no
      derivative; differentiating one gives NaN, not zero.
    - `decision`: what a gradient mode that chooses has chosen, and why; None from the others.
    """

    value: PyTree[Array]
    objective: Float[Array, ""] | None
    state: Any
    info: Info
    decision: Any = None

    @property
    def status(self) -> Int[Array, ""]:
        """A code of `Status`; one per element in a vmapped batch."""
        return self.info.status

    @property
    def residual(self) -> Float[Array, ""]:
        """Norm of the solver's residual at the last step, in the units of x."""
        return self.info.residual

    @property
    def steps(self) -> Int[Array, ""]:
        """How many steps were taken."""
        return self.info.steps

    def raise_if_failed(self) -> "Solution":
        """Return self, or raise `SolveFailed` naming each failure and its remedy (host only)."""
        codes = np.atleast_1d(np.asarray(self.status)).ravel()
        failures = [code for code in np.unique(codes) if Status(int(code)).failed]
        if failures:
            lines = [f"{np.sum(codes == c)} of {codes.size}: {describe(c)}" for c in failures]
            raise SolveFailed("The solve failed.\n" + "\n".join(lines))
        return self
