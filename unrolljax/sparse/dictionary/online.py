"""Online dictionary learning: the unsupervised dictionary from which supervised learning starts."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from unrolljax.sparse.dictionary.atoms import project_atoms, replace_unused
from unrolljax.sparse.dictionary.coder import Coder


class Learned(NamedTuple):
    """An unsupervised dictionary.

    - `codes`: of the samples, as they were last met: a warm start, not yet solutions.
    - `status`: of the solves, (epochs, batches, batch).
    """

    dictionary: Float[Array, "features atoms"]
    codes: Float[Array, "samples atoms"]
    status: Int[Array, "epochs batches batch"]


class _Memory(NamedTuple):
    """Dictionary, codes, and sums over about the last epoch: `A` of a a^T, `B` of x a^T."""

    dictionary: Array
    codes: Array
    A: Array
    B: Array
    seen: Array


@eqx.filter_jit
def learn_dictionary(
    samples: Float[Array, "samples features"],
    coder: Coder,
    start: Float[Array, "features atoms"],
    batches: Int[Array, "epochs batches batch"],
) -> Learned:
    """Minimise the mean of the coder's objective over dictionaries with atoms in the unit ball.

    Mairal, Bach, Ponce & Sapiro 2010, algorithms 1 and 2: codes of a batch, then block coordinate
    descent on the atoms, with what was before the last epoch forgotten (section 3.4). After every
    epoch, the samples coded worst take the places of unused atoms.

    - `start`: the first dictionary, for example samples drawn at random.
    - `batches`: places of the samples of each batch.
    """
    coder = coder.without_gradient()
    features, atoms = start.shape
    memory = _Memory(
        project_atoms(start),
        jnp.zeros((len(samples), atoms), samples.dtype),
        jnp.zeros((atoms, atoms), samples.dtype),
        jnp.zeros((features, atoms), samples.dtype),
        jnp.zeros((), samples.dtype),
    )
    window = batches.shape[1]

    def learn(memory: _Memory, places: Array) -> tuple[_Memory, Array]:
        x = samples[places]
        solution = coder(memory.dictionary, x, memory.codes[places])
        a = solution.value
        seen = memory.seen + 1
        kept = 1 - 1 / jnp.minimum(seen, window)
        A, B = kept * memory.A + a.T @ a, kept * memory.B + x.T @ a
        dictionary = update_atoms(memory.dictionary, A, B)
        codes = memory.codes.at[places].set(a)
        return _Memory(dictionary, codes, A, B, seen), solution.status

    def epoch(memory: _Memory, places: Array) -> tuple[_Memory, Array]:
        memory, status = jax.lax.scan(learn, memory, places)
        return _replace(memory, samples), status

    memory, status = jax.lax.scan(epoch, memory, batches)
    return Learned(memory.dictionary, memory.codes, status)


def update_atoms(
    dictionary: Float[Array, "features atoms"],
    A: Float[Array, "atoms atoms"],
    B: Float[Array, "features atoms"],
) -> Float[Array, "features atoms"]:
    """One round of block coordinate descent on `tr(D^T D A) / 2 - tr(D^T B)`, atom by atom."""

    def update(j: Array, dictionary: Array) -> Array:
        curvature = A[j, j]
        slope = dictionary @ A[:, j] - B[:, j]
        moved = dictionary[:, j] - slope / jnp.where(curvature > 0, curvature, 1)
        moved = project_atoms(moved[:, None])[:, 0]
        return dictionary.at[:, j].set(jnp.where(curvature > 0, moved, dictionary[:, j]))

    return jax.lax.fori_loop(0, dictionary.shape[1], update, dictionary)


def _replace(memory: _Memory, samples: Array) -> _Memory:
    """New atoms for unused ones, of which nothing is remembered."""
    dictionary, unused = replace_unused(memory.dictionary, samples, memory.codes)
    A = jnp.where(unused[:, None] | unused[None], 0, memory.A)
    return memory._replace(dictionary=dictionary, A=A, B=jnp.where(unused[None], 0, memory.B))
