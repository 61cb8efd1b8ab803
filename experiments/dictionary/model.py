"""What is learned, and where it starts."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import unrolljax as uj
from experiments.dictionary.data import Digits
from unrolljax.sparse import dictionary as dl

HEAD_STOP = uj.Stop(300, 1e-3)
HEAD_UNIT = 10.0
"""Adam moves all parameters alike; the weights of the classifier are as many times larger."""


class Parameters(NamedTuple):
    """The outer parameters: any arrays; atoms are brought into the unit ball when they are used."""

    atoms: Float[Array, "features atoms"]
    weights: Float[Array, "atoms classes"]
    intercept: Float[Array, " classes"]

    @property
    def model(self) -> dl.Model:
        """Dictionary and classifier."""
        head = dl.Head(HEAD_UNIT * self.weights, HEAD_UNIT * self.intercept)
        return dl.Model(dl.project_atoms(self.atoms), head)


def start(
    training: Digits, coder: dl.Coder, atoms: int, batch: int, epochs: int, decay: float
) -> Parameters:
    """A dictionary that codes the training images well, and the classifier that suits its codes."""
    random = np.random.default_rng(0)
    count = len(training.samples)
    drawn = random.choice(count, atoms, replace=False)
    batches = jnp.asarray(dl.draw_batches(random, count, batch, epochs))
    learned = dl.learn_dictionary(training.samples, coder, training.samples[drawn].T, batches)
    codes = coder.without_gradient()(learned.dictionary, training.samples).raise_if_failed().value
    head, _ = dl.fit_head(codes, training.targets, dl.cross_entropy, decay, HEAD_STOP)
    return Parameters(learned.dictionary, head.weights / HEAD_UNIT, head.intercept / HEAD_UNIT)


def percent_wrong(
    head: dl.Head, codes: Float[Array, "n atoms"], targets: Float[Array, "n classes"]
) -> Float[Array, ""]:
    """How many images are put into a wrong class."""
    wrong = jnp.argmax(head(codes), axis=1) != jnp.argmax(targets, axis=1)
    return 100 * jnp.mean(wrong.astype(codes.dtype))
