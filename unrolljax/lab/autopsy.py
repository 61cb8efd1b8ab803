"""Why a step failed: the step once more, on one device, one primitive at a time."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array

from unrolljax.core.status import Status, describe
from unrolljax.lab.first_nan import first_nan
from unrolljax.lab.outer import Outer, TrainState

NAMED = 8
"""How many failed problems are named."""


def explain(outer: Outer, state: TrainState, seed: int) -> str:
    """Repeat the step that failed from the state before it, and say what went wrong.

    In this order: the primitive that made the first NaN of the loss; the solves that failed, and
    what to change; the primitive that made the first NaN of the gradient; else an overflow.
    """
    alone = Mesh(np.asarray(jax.local_devices()[:1]), ("data",))
    outer = dataclasses.replace(outer, mesh=alone)
    state = jax.tree.map(jnp.asarray, state)
    data = jax.tree.map(jnp.asarray, outer.experiment.data)
    batch = outer.batch(data, jnp.uint32(seed), state.step)

    def loss(learned):
        return outer.experiment.loss(outer.complete(learned), data, batch, state.carry)

    outcome = jax.jit(loss)(state.parameters)
    primitive = first_nan(lambda learned: loss(learned).loss, state.parameters)
    if primitive:
        return f"The loss is not a number. The first NaN was made by {primitive}."
    failed = _failed(outcome.status)
    if failed:
        return failed
    slope = jax.grad(lambda learned: loss(learned).loss)
    primitive = first_nan(slope, state.parameters)
    if primitive:
        return f"The gradient is not a number. The first NaN was made by {primitive}."
    gradient = jax.jit(slope)(state.parameters)
    largest = max(float(jnp.max(jnp.abs(leaf))) for leaf in jax.tree.leaves(gradient))
    return (
        f"Loss {float(outcome.loss):.6g}, largest entry of the gradient {largest:.6g}: a number "
        "overflowed. Lower the learning rate, or use precision=float64."
    )


def _failed(status: Array | None) -> str | None:
    codes = np.ravel([] if status is None else np.asarray(status))
    failed = [code for code in np.unique(codes) if Status(int(code)).failed]
    sentences = []
    for code in failed:
        problems = np.flatnonzero(codes == code)
        names = ", ".join(map(str, problems[:NAMED])) + (", ..." if len(problems) > NAMED else "")
        sentences.append(
            f"{len(problems)} of {len(codes)} solves failed (problems {names}). {describe(code)}"
        )
    return " ".join(sentences) or None
