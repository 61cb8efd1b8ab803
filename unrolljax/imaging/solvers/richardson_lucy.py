"""Richardson-Lucy: the multiplicative step on Poisson counts."""

import jax.numpy as jnp

from unrolljax.core.solver import Solver
from unrolljax.imaging.restoration import Image, Restoration


class RichardsonLucy(Solver):
    """`x <- x A*(y / rate) / A* 1`: expectation maximisation for counts.

    Richardson (1972), Lucy (1974). A mirror step on the Poisson likelihood (`data.mirror_step`,
    with its background and peak) that keeps the image non-negative and never lowers the
    likelihood, for operators with non-negative entries. The problem's prior takes no part: the
    number of steps regularises, so run it with `Stop(max_steps=n, tol=None)`.

    Starts at a positive image, such as a constant one: pixels that are zero stay so. A start with
    negative pixels, or none above zero, ends as NONFINITE.
    """

    def init(self, problem: Restoration, x0: Image) -> Image:
        """The start; a ValueError where its shape is wrong or the data term has no such step."""
        if not hasattr(problem.data, "mirror_step"):
            raise ValueError(
                f"RichardsonLucy needs counts, data=Poisson(...) or ShiftedPoisson(...), got "
                f"{type(problem.data).__name__}."
            )
        shape = tuple(problem.data.operator.shape)
        if jnp.shape(x0) != shape:
            raise ValueError(f"x0 has shape {jnp.shape(x0)}; the operator acts on {shape}.")
        return jnp.where(jnp.all(x0 >= 0) & jnp.any(x0 > 0), x0, jnp.nan)

    def step(self, problem: Restoration, state: Image) -> Image:
        """One multiplicative step."""
        return problem.data.mirror_step(state)

    def read(self, state: Image) -> Image:
        """The image."""
        return state

    def objective(self, problem: Restoration, x: Image):
        """The data term: what the steps descend."""
        return problem.data.value(x)
