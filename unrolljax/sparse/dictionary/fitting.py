"""The whole of a fit: unsupervised dictionary, head, then both together on the task."""

from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from unrolljax.core.stop import Stop
from unrolljax.sparse.dictionary.atoms import normalise_columns
from unrolljax.sparse.dictionary.batches import draw_batches
from unrolljax.sparse.dictionary.coder import Coder
from unrolljax.sparse.dictionary.model import Loss, Model, fit_head
from unrolljax.sparse.dictionary.online import learn_dictionary
from unrolljax.sparse.dictionary.training import Trained, train

HEAD_STOP = Stop(max_steps=300, tol=1e-3)
"""Of the head on unsupervised codes. It is a start: whether it got there does not matter."""

CHUNK = 256
"""Samples that are coded at once."""


class Fitted(NamedTuple):
    """A fitted model.

    - `unsupervised`: where the training started, the dictionary learned without the targets.
    - `trained`: the model and the course of its training.
    - `status`: of the codes of all samples in the trained dictionary.
    """

    unsupervised: Model
    trained: Trained
    status: Int[np.ndarray, " samples"]


class Codes(NamedTuple):
    """Codes and the status of each."""

    value: Float[np.ndarray, "samples atoms"]
    status: Int[np.ndarray, " samples"]


def fit(
    samples: Float[Array, "samples features"],
    targets: Float[Array, "samples outputs"],
    loss: Loss,
    coder: Coder,
    random: np.random.Generator,
    *,
    atoms: int,
    batch: int,
    initial_epochs: int,
    epochs: int,
    learning_rate: float,
    decay: float,
) -> Fitted:
    """Minimise `mean(loss) + decay |weights|^2 / 2` over dictionary and head.

    Samples are expected to have a norm of about 1, which is the unit of the coder's l1. There are
    at most as many atoms, and as many samples in a batch, as there are samples. Every number is an
    array inside: other numbers compile nothing, nor do a few samples more or less, as in the folds
    of a cross-validation. Raises ValueError for inputs that cannot work.
    """
    _check(samples, targets, atoms=atoms, batch=batch, initial_epochs=initial_epochs, epochs=epochs)
    atoms, batch = min(atoms, len(samples)), min(batch, len(samples))
    numbers = {"learning_rate": learning_rate, "decay": decay}
    numbers = {name: jnp.asarray(value, samples.dtype) for name, value in numbers.items()}
    count = len(samples)
    start = samples[random.choice(count, atoms, replace=False)].T
    samples, targets = _filled(samples), _filled(targets)
    batches = draw_batches(random, count, batch, initial_epochs)
    learned = learn_dictionary(samples, coder, normalise_columns(start), jnp.asarray(batches))
    codes = jnp.asarray(encode(coder, learned.dictionary, samples).value)
    head, _ = fit_head(codes, targets, loss, numbers["decay"], HEAD_STOP, count)
    unsupervised = Model(learned.dictionary, head)
    batches = jnp.asarray(draw_batches(random, count, batch, epochs))
    trained = train(unsupervised, samples, targets, codes, coder, loss, batches, **numbers)
    trained = trained._replace(codes=trained.codes[:count])
    status = encode(coder, trained.model.dictionary, samples).status[:count]
    return Fitted(unsupervised, trained, status)


def encode(
    coder: Coder,
    dictionary: Float[Array, "features atoms"],
    samples: Float[Array, "n features"] | Float[np.ndarray, "n features"],
) -> Codes:
    """Codes of any number of samples, `CHUNK` at a time.

    Always the same shapes: another number of samples compiles nothing, and a code does not depend
    on its neighbours, to the last bit.
    """
    coder, dictionary = coder.without_gradient(), jnp.asarray(dictionary)
    rows = np.asarray(samples, dictionary.dtype)
    parts = _filled(rows).reshape(-1, CHUNK, rows.shape[1])
    found = [_encode(coder, dictionary, part) for part in parts]
    value, status = (np.concatenate(items)[: len(rows)] for items in zip(*found, strict=True))
    return Codes(value, status)


def _filled(rows: Array | np.ndarray) -> Array:
    """Rows of zeros appended up to a multiple of `CHUNK`."""
    return jnp.asarray(np.pad(np.asarray(rows), ((0, -len(rows) % CHUNK), (0, 0))))


@eqx.filter_jit
def _encode(coder: Coder, dictionary: Array, samples: Array) -> tuple[Array, Array]:
    solution = coder(dictionary, samples)
    return solution.value, solution.status


def _check(samples: Array, targets: Array, **counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name}={count} must be at least 1.")
    if samples.ndim != 2 or targets.ndim != 2 or len(samples) != len(targets):
        raise ValueError(
            "samples must be (samples, features) and targets (samples, outputs), but their shapes "
            f"are {samples.shape} and {targets.shape}."
        )
    for name, array in (("samples", samples), ("targets", targets)):
        if not np.all(np.isfinite(array)):
            raise ValueError(f"{name} hold a NaN or an infinity; remove or fill it in.")
