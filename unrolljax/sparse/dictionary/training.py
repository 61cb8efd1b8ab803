"""Task-driven dictionary learning: dictionary and predictor trained on the loss of the task."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from unrolljax.core import trees
from unrolljax.core.solution import Solution
from unrolljax.sparse.dictionary.atoms import project_atoms, replace_unused
from unrolljax.sparse.dictionary.coder import Coder
from unrolljax.sparse.dictionary.model import Head, Loss, Model, penalised

HEAD_RATE = 10.0
"""How many times faster than the dictionary the head learns: its weights are larger."""


class Trained(NamedTuple):
    """A trained model and how the training went.

    - `codes`: of the samples, as they were last met: a warm start, not yet solutions.
    - `loss`: mean over each epoch.
    - `status`: of the solves, (epochs, batches, batch).
    - `skipped`: (epochs, batches), the updates that were left out because the gradient was not
      finite (a solve or an adjoint solve had failed).
    - `replaced`: how many unused atoms made way after each epoch.
    """

    model: Model
    codes: Float[Array, "samples atoms"]
    loss: Float[Array, " epochs"]
    status: Int[Array, "epochs batches batch"]
    skipped: Bool[Array, "epochs batches"]
    replaced: Int[Array, " epochs"]


class _State(NamedTuple):
    model: Model
    optimizer: optax.OptState
    codes: Array


def task_loss(
    model: Model,
    coder: Coder,
    loss: Loss,
    samples: Float[Array, "samples features"],
    targets: Float[Array, "samples outputs"],
    decay: Array | float,
    start: Float[Array, "samples atoms"] | None = None,
) -> tuple[Float[Array, ""], Solution]:
    """Mean loss of the predictions from codes, penalised, and the codes.

    Mairal, Bach & Ponce 2012, eq. 6; its derivative in the dictionary is the coder's.
    """
    solution = coder(model.dictionary, samples, start)
    return penalised(loss, model.head, solution.value, targets, decay), solution


@eqx.filter_jit
def train(
    model: Model,
    samples: Float[Array, "samples features"],
    targets: Float[Array, "samples outputs"],
    codes: Float[Array, "samples atoms"],
    coder: Coder,
    loss: Loss,
    batches: Int[Array, "epochs batches batch"],
    *,
    learning_rate: Array | float,
    decay: Array | float,
) -> Trained:
    """Adam on dictionary and head, its rate falling to zero like a cosine; atoms stay in the ball.

    Each solve starts from the sample's last code. A step whose gradient is not finite is left out
    and counted. Until half of the epochs are over, the samples coded worst take the places of
    unused atoms, with weights of zero.

    - `codes`: where the first solves start. `batches`: places of the samples of each batch.
    """
    epochs, per_epoch, _ = batches.shape
    optimizer = optax.adam(optax.cosine_decay_schedule(1.0, epochs * per_epoch))
    differentiate = jax.value_and_grad(task_loss, has_aux=True)

    def learn(state: _State, places: Array) -> tuple[_State, tuple[Array, Array, Array]]:
        x, start = samples[places], state.codes[places]
        (value, solution), slope = differentiate(
            state.model, coder, loss, x, targets[places], decay, start
        )
        direction, optimizer_state = optimizer.update(slope, state.optimizer)
        moved = _move(state.model, direction, learning_rate)
        found = _State(moved, optimizer_state, state.codes.at[places].set(solution.value))
        good = trees.all_finite((value, slope))
        return trees.where(good, found, state), (value, solution.status, ~good)

    def epoch(state: _State, item: tuple[Array, Array]):
        places, early = item
        state, (values, status, skipped) = jax.lax.scan(learn, state, places)
        model, unused = _replace(state, samples, early)
        seen = (jnp.mean(values), status, skipped, jnp.sum(unused))
        return state._replace(model=model), seen

    first = _State(model, optimizer.init(model), codes)
    last, seen = jax.lax.scan(epoch, first, (batches, jnp.arange(epochs) < epochs // 2))
    return Trained(last.model, last.codes, *seen)


def _move(model: Model, direction: Any, learning_rate: Array | float) -> Model:
    """One step, and the projection of the atoms."""
    dictionary = model.dictionary + learning_rate * direction.dictionary
    head = trees.add_scaled(model.head, HEAD_RATE * learning_rate, direction.head)
    return Model(project_atoms(dictionary), head)


def _replace(state: _State, samples: Array, early: Array) -> tuple[Model, Array]:
    """New atoms for unused ones, if it is early enough to learn what they mean."""
    model = state.model
    dictionary, unused = replace_unused(model.dictionary, samples, state.codes)
    unused = unused & early
    dictionary = jnp.where(unused[None], dictionary, model.dictionary)
    weights = jnp.where(unused[:, None], 0, model.head.weights)
    return Model(dictionary, Head(weights, model.head.intercept)), unused
