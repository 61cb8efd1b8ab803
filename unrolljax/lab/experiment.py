"""What an experiment hands to the lab: parameters, problems, a loss, and how to end."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxtyping import Array, Float, Int, PyTree

Line = dict[str, Any]
"""One line of metrics: `step`, and numbers (or counts of statuses) by name."""


class Outcome(NamedTuple):
    """What a loss returns for a batch of problems.

    - `loss`: the mean over the problems, a scalar; what is minimised.
    - `status`: the status codes of the solves, any shape; None where nothing is solved.
    - `metrics`: further scalars, means over the problems.
    - `carry`: warm starts for the next step, with a leading axis of problems.
    """

    loss: Float[Array, ""]
    status: Int[Array, "..."] | None = None
    metrics: Mapping[str, Float[Array, ""]] = {}
    carry: PyTree[Array] = None


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Experiment:
    """A training problem; everything but `parameters`, `sample` and `loss` may be left out.

    - `parameters`: any pytree; its inexact arrays are learned.
    - `data`: arrays that the functions need, one copy on every device.
    - `sample(data, key)`: the batch of one outer step. Every leaf has a leading axis of problems,
      which is what the devices share. Pure: it runs inside jit, and the key is all its randomness.
    - `loss(parameters, data, batch, carry)`: an `Outcome`; runs inside jit.
    - `held_out`: a batch that is never trained on; the loss on it is the evaluation.
    - `start(batch)`: the first `carry`, for experiments that solve the same problems at every step
      and start each solve from the last solution.
    - `finish(parameters, folder)`: draws figures into the run folder and returns the headline
      numbers, by name, nested as one likes.
    - `callbacks`: called on the host with every line of metrics.
    """

    parameters: PyTree
    sample: Callable[[PyTree, Array], PyTree[Array]]
    loss: Callable[[PyTree, PyTree, PyTree[Array], PyTree[Array]], Outcome]
    data: PyTree = None
    held_out: PyTree[Array] = None
    start: Callable[[PyTree[Array]], PyTree[Array]] | None = None
    finish: Callable[[PyTree, Path], Mapping[str, Any]] | None = None
    callbacks: Sequence[Callable[[Line], None]] = ()

    def first_carry(self, batch: PyTree[Array]) -> PyTree[Array]:
        """The warm start of the first step, or None."""
        return None if self.start is None else self.start(batch)
