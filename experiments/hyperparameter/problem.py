"""Elastic-net regression on part of a table, as a function of its penalties."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

import unrolljax as uj


class Penalties(NamedTuple):
    """Logarithms of the weights, the outer parameters.

    - `l1`, `l2`: of all features.
    - `inputs`: of each input's share; a feature has the sum over its inputs, with their powers.
    """

    l1: Float[Array, ""]
    l2: Float[Array, ""]
    inputs: Float[Array, " inputs"]


class Model(NamedTuple):
    """The unknown."""

    intercept: Float[Array, ""]
    weights: Float[Array, " features"]


class Data(eqx.Module):
    """The table of `data.Table` as arrays."""

    A: Float[Array, "samples features"]
    y: Float[Array, " samples"]
    powers: Float[Array, "features inputs"]
    classify: bool = eqx.field(static=True)

    @property
    def zero(self) -> Model:
        """The model that predicts nothing: where solves start."""
        return Model(jnp.zeros((), self.y.dtype), jnp.zeros(self.A.shape[1], self.A.dtype))

    def loss(self, model: Model, chosen: Bool[Array, " samples"]) -> Float[Array, ""]:
        """Mean logistic loss, or half the mean squared error, of the chosen samples."""
        predicted = self.A @ model.weights + model.intercept
        if self.classify:
            losses = jnp.logaddexp(0.0, -self.y * predicted)
        else:
            losses = (predicted - self.y) ** 2 / 2
        return jnp.sum(losses, where=chosen) / jnp.sum(chosen).astype(losses.dtype)


class Training(eqx.Module):
    """`problem_fn` of a fold: the data, the samples to train on, and what is penalised."""

    data: Data
    chosen: Bool[Array, " samples"]

    def __call__(self, penalties: Penalties) -> "ElasticNet":
        """The inner problem."""
        own = self.data.powers @ penalties.inputs
        l1 = jnp.exp(penalties.l1 + own)
        return ElasticNet(self.data, self.chosen, l1, jnp.exp(penalties.l2))


class Validation(eqx.Module):
    """`outer` of a fold: the loss of the samples left out, and a prior on the inputs' shares."""

    data: Data
    chosen: Bool[Array, " samples"]
    prior: Float[Array, ""]

    def __call__(self, penalties: Penalties, model: Model) -> Float[Array, ""]:
        """The outer objective."""
        return self.data.loss(model, self.chosen) + self.prior * jnp.sum(penalties.inputs**2) / 2


class ElasticNet(eqx.Module):
    """Loss of the chosen samples plus `sum_j l1_j |w_j| + l2 |w|^2 / 2`; the intercept is free."""

    data: Data
    chosen: Bool[Array, " samples"]
    l1: Float[Array, " features"]
    l2: Float[Array, ""]

    def smooth(self, model: Model) -> Float[Array, ""]:
        """The loss."""
        return self.data.loss(model, self.chosen)

    def prox(self, model: Model, step: Float[Array, ""]) -> Model:
        """Soft thresholding and shrinkage of the weights."""
        return Model(
            model.intercept, uj.prox.elastic_net(model.weights, step * self.l1, step * self.l2)
        )

    def penalty(self, model: Model) -> Float[Array, ""]:
        """Both penalties."""
        l1 = jnp.sum(self.l1 * jnp.abs(model.weights))
        return l1 + self.l2 * jnp.sum(model.weights**2) / 2

    def support(self, model: Model) -> Model:
        """The intercept and the weights that are not zero."""
        return Model(jnp.ones_like(model.intercept, bool), model.weights != 0)  # pyright: ignore
