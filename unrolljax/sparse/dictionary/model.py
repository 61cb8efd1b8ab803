"""A dictionary and a linear predictor on its codes, with the losses that train both."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from unrolljax.core.stop import Stop
from unrolljax.gradients.detach import Detach
from unrolljax.gradients.solve import solve
from unrolljax.solvers.lbfgs import LBFGS

Outputs = Float[Array, "samples outputs"]
Loss = Callable[[Outputs, Outputs], Float[Array, " samples"]]


class Head(NamedTuple):
    """A linear predictor on codes."""

    weights: Float[Array, "atoms outputs"]
    intercept: Float[Array, " outputs"]

    def __call__(self, codes: Float[Array, "samples atoms"]) -> Outputs:
        """Scores of classes, or predicted numbers."""
        return codes @ self.weights + self.intercept[None]


class Model(NamedTuple):
    """What task-driven dictionary learning learns."""

    dictionary: Float[Array, "features atoms"]
    head: Head


def cross_entropy(scores: Outputs, targets: Outputs) -> Float[Array, " samples"]:
    """Multinomial logistic loss; targets are probabilities of the classes (one-hot labels)."""
    return -jnp.sum(targets * jax.nn.log_softmax(scores, axis=1), axis=1)


def squared_error(predicted: Outputs, targets: Outputs) -> Float[Array, " samples"]:
    """Half the squared distance."""
    return jnp.sum((predicted - targets) ** 2, axis=1) / 2


def penalised(
    loss: Loss, head: Head, codes: Array, targets: Array, decay: Array | float
) -> Float[Array, ""]:
    """Mean loss of the samples plus the penalty of the weights."""
    return jnp.mean(loss(head(codes), targets)) + weight_penalty(head, decay)


def weight_penalty(head: Head, decay: Array | float) -> Float[Array, ""]:
    """`decay |weights|^2 / 2`; the intercept is free."""
    return decay * jnp.sum(head.weights**2) / 2


class HeadProblem(eqx.Module):
    """The head that fits the first `count` codes best: a smooth convex problem."""

    codes: Float[Array, "samples atoms"]
    targets: Outputs
    decay: Float[Array, ""] | float
    count: Int[Array, ""]
    loss: Loss = eqx.field(static=True)

    def objective(self, head: Head) -> Float[Array, ""]:
        """Mean loss plus the penalty of the weights."""
        losses = self.loss(head(self.codes), self.targets)
        counted = jnp.arange(len(losses)) < self.count
        mean = jnp.sum(losses, where=counted) / self.count.astype(losses.dtype)
        return mean + weight_penalty(head, self.decay)


def fit_head(
    codes: Float[Array, "samples atoms"],
    targets: Outputs,
    loss: Loss,
    decay: Array | float,
    stop: Stop,
    count: int | None = None,
) -> tuple[Head, Int[Array, ""]]:
    """The head for codes that are held constant, by L-BFGS from zero, and the solve's status.

    `count`: how many of the samples count, from the first on; the others fill up an array.
    """
    shape, dtype = (codes.shape[1], targets.shape[1]), codes.dtype
    zero = Head(jnp.zeros(shape, dtype), jnp.zeros(shape[1], dtype))
    size = jnp.asarray(len(codes) if count is None else count)
    problem = HeadProblem(codes, targets, decay, size, loss)
    solution = solve(LBFGS(), problem, zero, gradient=Detach(), stop=stop)
    return solution.value, solution.status
