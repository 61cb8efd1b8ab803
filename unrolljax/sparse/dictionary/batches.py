"""Random batches, drawn on the host: sorting on the device would cost seconds of compilation."""

import numpy as np
from jaxtyping import Int


def draw_batches(
    random: np.random.Generator, samples: int, batch: int, epochs: int
) -> Int[np.ndarray, "epochs batches batch"]:
    """Places of the samples of each batch; what is left of a permutation sits out the epoch."""
    batches = samples // batch
    permutations = [random.permutation(samples)[: batches * batch] for _ in range(epochs)]
    return np.reshape(np.asarray(permutations, np.int32), (epochs, batches, batch))
