"""Optimizers for networks: bounded steps, and a learning rate of its own for each kind of number.

Scaling gradients before Adam does nothing, since Adam divides by their size: the rates belong
behind it. The same arguments give the same optimizer, so that nothing compiles twice.
"""

import functools
from collections.abc import Hashable

import jax
import optax
from jaxtyping import PyTree


@functools.cache
def bounded_adam(learning_rate: float, steps: int) -> optax.GradientTransformation:
    """Adam on gradients of unit norm, its rate falling to zero as a cosine.

    Losses in dB have gradients that differ by orders of magnitude from batch to batch; of unit
    norm, each batch counts the same.
    """
    return optax.chain(
        optax.normalize_by_update_norm(),
        optax.scale_by_adam(b2=0.99),
        optax.scale_by_schedule(optax.cosine_decay_schedule(-learning_rate, steps)),
    )


@functools.cache
def grouped_adam(otherwise: float, steps: int, **rates: float) -> optax.GradientTransformation:
    """`bounded_adam` with the rate that `rates` gives to a field's name, or else `otherwise`."""
    transforms: dict[Hashable, optax.GradientTransformation]
    transforms = {name: bounded_adam(rate, steps) for name, rate in rates.items()}
    transforms["otherwise"] = bounded_adam(otherwise, steps)

    def labels(parameters: PyTree) -> PyTree:
        def label(path, _):
            names = [getattr(part, "name", None) for part in path]
            return next((name for name in names if name in rates), "otherwise")

        return jax.tree_util.tree_map_with_path(label, parameters)

    return optax.multi_transform(transforms, labels)
