"""Learning the weights by hypergradient descent, and what one hypergradient costs in each mode."""

import time
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from numpy.typing import NDArray

import unrolljax as uj
from experiments.deblur.problem import Images, Observation, Restoration, Weights


class Task(eqx.Module):
    """Images to restore, their truth, and how they are restored."""

    observation: Observation
    truth: Images
    smoothing: float
    momentum: float
    stop: uj.Stop
    scales: int = eqx.field(static=True)

    def restore(self, weights: Weights, start: Images, gradient: uj.GradientMode) -> uj.Solution:
        """The restoration, differentiable in the weights as the gradient mode says."""
        smoothing = jnp.asarray(self.smoothing, jnp.result_type(start))
        problem = Restoration(self.observation, weights, smoothing, self.scales)
        solver = uj.GradientDescent(problem.step_size(), self.momentum, "nesterov")
        return uj.solve(solver, problem, start, gradient=gradient, stop=self.stop)

    def loss(
        self, weights: Weights, start: Images, gradient: uj.GradientMode
    ) -> tuple[jax.Array, uj.Solution]:
        """Minus the mean PSNR in dB, and the solution."""
        solution = self.restore(weights, start, gradient)
        errors = jnp.mean((solution.value - self.truth) ** 2, axis=(-2, -1))
        return 10 * jnp.mean(jnp.log10(errors)), solution


hypergradient = eqx.filter_jit(
    lambda task, weights, start, gradient: eqx.filter_value_and_grad(
        lambda w: task.loss(w, start, gradient), has_aux=True
    )(weights)
)


class Learned(NamedTuple):
    """The weights, the training PSNR after each step, and how the inner solves ended."""

    weights: Weights
    curve: list[float]
    statuses: dict[str, int]


def learn(
    task: Task, weights: Weights, start: Images, gradient: uj.GradientMode, steps: int, rate: float
) -> Learned:
    """Adam on the hypergradient; every solve starts from the previous solution."""
    optimizer = optax.adam(rate)
    state, curve, statuses = optimizer.init(weights), [], {}  # pyright: ignore
    for step in range(steps):
        (loss, solution), slope = hypergradient(task, weights, start, gradient)
        name = uj.Status(int(solution.status)).name
        statuses[name] = statuses.get(name, 0) + 1
        if not np.all(np.isfinite(ravel_pytree(slope)[0])):
            raise uj.SolveFailed(
                f"Step {step}: the hypergradient is not finite. {uj.describe(solution.status)}"
            )
        updates, state = optimizer.update(slope, state)  # pyright: ignore
        weights = optax.apply_updates(weights, updates)  # pyright: ignore
        curve.append(-float(loss))
        start = solution.value
        if step % 5 == 0 or step == steps - 1:
            print(f"step {step:3d}  training PSNR {curve[-1]:.3f} dB  {int(solution.steps)} steps")
    return Learned(weights, curve, statuses)


class ModeCost(NamedTuple):
    """One hypergradient: its vector, seconds to run and to compile, temporary megabytes, status."""

    gradient: NDArray
    seconds: float
    compile_seconds: float
    megabytes: float
    status: str


def cost(task: Task, weights: Weights, start: Images, gradient: uj.GradientMode) -> ModeCost:
    """Compile one hypergradient, read its temporary memory, and run it."""
    begun = time.perf_counter()
    compiled: Any = hypergradient.lower(task, weights, start, gradient).compile()  # pyright: ignore
    compile_seconds = time.perf_counter() - begun
    begun = time.perf_counter()
    (_, solution), slope = compiled(task, weights, start, gradient)
    vector = np.asarray(ravel_pytree(slope)[0], float)
    seconds = time.perf_counter() - begun
    memory = compiled.compiled.memory_analysis().temp_size_in_bytes / 1e6
    status = uj.Status(int(solution.status)).name
    return ModeCost(vector, seconds, compile_seconds, memory, status)
