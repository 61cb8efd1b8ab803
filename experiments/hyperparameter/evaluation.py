"""What penalties are worth: the model that they give, and its errors on samples not seen."""

import jax.numpy as jnp
from jaxtyping import Array, Bool

import unrolljax as uj
from experiments.hyperparameter.problem import Data, Model, Penalties, Training


def fit(
    data: Data,
    seen: Bool[Array, " samples"],
    penalties: Penalties,
    solver: uj.Solver,
    stop: uj.Stop,
) -> Model:
    """The model of all the samples seen."""
    problem = Training(data, seen)(penalties)
    solution = uj.solve(solver, problem, data.zero, gradient=uj.Detach(), stop=stop)
    return solution.raise_if_failed().value


def scores(data: Data, chosen: Bool[Array, " samples"], model: Model) -> dict[str, float]:
    """Loss, and error rate or mean squared error, of the chosen samples; features in use."""
    predicted = data.A @ model.weights + model.intercept
    wrong = jnp.sign(predicted) != data.y if data.classify else (predicted - data.y) ** 2
    name = "test error rate" if data.classify else "test mean squared error"
    return {
        "test loss": float(data.loss(model, chosen)),
        name: float(jnp.mean(wrong, where=chosen)),
        "features": int(jnp.sum(model.weights != 0)),
    }
