"""When the loop stops."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array


class Stop(eqx.Module):
    """Stop after `max_steps`, or as soon as `|residual| <= tol * (1 + |x|)`.

    Norms are Euclidean over the whole unknown. The residual is the solver's own
    (`Solver.residual`), in the units of x, so that rescaling an objective changes nothing.

    - `max_steps`: static; how many steps the loop may take.
    - `tol`: relative tolerance; changing it compiles nothing. `None` runs all the steps without a
      convergence test (status `COMPLETED`), which is how a network of a fixed depth is run.
    - `trace_every`: static; record the residual every so many steps in `Info.trace`, 0 for never.
    """

    max_steps: int = eqx.field(default=1000, static=True)
    tol: float | Array | None = 1e-5
    trace_every: int = eqx.field(default=0, static=True)

    def __check_init__(self):
        if isinstance(self.max_steps, bool) or not isinstance(self.max_steps, int):
            raise TypeError(
                f"Stop(max_steps=...) sets the shape of the loop and must be a Python int, "
                f"not {type(self.max_steps).__name__}."
            )
        if self.max_steps < 1:
            raise ValueError(f"Stop(max_steps={self.max_steps}) must be at least 1.")
        if self.trace_every < 0 or self.trace_every > self.max_steps:
            raise ValueError(
                f"Stop(trace_every={self.trace_every}) must be between 0 and max_steps "
                f"({self.max_steps})."
            )


def check_tolerance(tol: float | Array | None, dtype: jnp.dtype, name: str) -> None:
    """Raise if a concrete tolerance is one that `dtype` cannot reach (below 10 eps)."""
    smallest = 10 * float(jnp.finfo(dtype).eps)
    if isinstance(tol, int | float) and not tol >= smallest:
        raise ValueError(
            f"{name}={tol:g} is below what {jnp.dtype(dtype).name} can reach. Use at least "
            f"{smallest:.2g} (10 eps), a wider dtype, or {name}=None."
        )
