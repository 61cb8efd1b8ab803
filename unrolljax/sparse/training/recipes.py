"""How each network is trained for a task, from few numbers to many.

Every recipe draws its training and validation codes from `key`; none sees a test code.
"""

import dataclasses
import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from unrolljax.core.stop import Stop
from unrolljax.sparse.networks.alista import ALISTA, ALISTALayer
from unrolljax.sparse.networks.coupled import CoupledLISTA
from unrolljax.sparse.networks.decode import decode
from unrolljax.sparse.networks.hybrid import HybridLISTA
from unrolljax.sparse.networks.hyperlista import HyperLISTA
from unrolljax.sparse.networks.network import Network
from unrolljax.sparse.networks.selection import Selection
from unrolljax.sparse.partition import Partition
from unrolljax.sparse.sensing import Sensing
from unrolljax.sparse.training import task as tasks
from unrolljax.sparse.training.codes import Codes
from unrolljax.sparse.training.fit import Fit, fit
from unrolljax.sparse.training.nmse import total_nmse
from unrolljax.sparse.training.rates import bounded_adam, grouped_adam
from unrolljax.sparse.training.stagewise import search_layers
from unrolljax.sparse.training.task import Task
from unrolljax.sparse.training.tune import Tuned, tune

LOW, HIGH = np.array([1.0, 0.5, 0.03]), np.array([6.0, 4.0, 0.4])
"""Box of HyperLISTA's constants from which starts are drawn."""


def tuned_hyperlista(
    task: Task,
    key: Array,
    depth: int = 16,
    partition: Partition | None = None,
    problems: int = 256,
    starts: int = 32,
    refined: int = 2,
    evaluations: int = 60,
    harder: float = 1.2,
) -> tuple[HyperLISTA, Tuned]:
    """The three constants, by gradient-free search from many starts.

    They are judged on `problems` codes of each ensemble, with `harder` times its probability: the
    total error is decided by the few codes that have the most entries, of which a sample of
    ordinary codes holds none or one.
    """
    ensembles = [dataclasses.replace(e, probability=harder * e.probability) for e in task.ensembles]
    codes = tasks.codes_of(dataclasses.replace(task, ensembles=tuple(ensembles)), key, problems)
    dtype = task.sensing.dtype

    def network(constants: np.ndarray) -> HyperLISTA:
        return HyperLISTA.start(constants, partition, dtype)

    def objective(constants: np.ndarray) -> float:
        return float(_error_after(network(constants), task, codes, depth))

    found = tune(objective, LOW, HIGH, starts, refined, evaluations)
    return network(found.numbers), found


@eqx.filter_jit
def _error_after(network: Network, task: Task, codes: Codes, depth: int) -> Array:
    found = decode(network, task.sensing, codes.y, stop=Stop(depth, tol=None))
    return total_nmse(found.value, codes.x)


def trained(
    network: Network, task: Task, key: Array, steps: int = 200, rate: float = 0.03, **rates: float
) -> Fit:
    """All layers jointly; `rates` are of fields of their own, as in `trained(..., weight=1e-4)`."""
    adam = grouped_adam(rate, steps, **rates) if rates else bounded_adam(rate, steps)
    validation = tasks.codes_of(task, jax.random.fold_in(key, 1), 2 * task.problems)
    return fit(tasks.loss, network, task, tasks.sample, adam, steps, key, validation)


def trained_hybrid(
    task: Task,
    key: Array,
    depth: int = 16,
    partition: Partition | None = None,
    blended: bool = False,
    steps: int = 200,
) -> Fit:
    """Four numbers a layer (five if blended)."""
    start = HybridLISTA.start(depth, partition, blended, task.sensing.dtype)
    return trained(start, task, key, steps)


def trained_alista(
    task: Task,
    key: Array,
    depth: int = 16,
    selection: Selection | None = None,
    partition: Partition | None = None,
    steps: int = 300,
) -> Fit:
    """Two numbers a layer: each layer by search, then all jointly."""
    selection = Selection(0.012, 0.13) if selection is None else selection
    searched = searched_alista(task, key, depth, selection, partition)
    return trained(searched, task, key, steps, rate=0.02)


def searched_alista(
    task: Task, key: Array, depth: int, selection: Selection, partition: Partition | None = None
) -> ALISTA:
    """Each layer's two numbers by search, one layer after the other."""
    dtype = task.sensing.dtype
    start = ALISTA.start(depth, selection=selection, partition=partition, dtype=dtype)
    codes = tasks.codes_of(task, jax.random.fold_in(key, 2), task.problems)
    return search_layers(start, _scalars(dtype), task.sensing, codes)[0]


@functools.cache
def _scalars(dtype) -> ALISTALayer:
    """Candidates: four steps by forty thresholds."""
    step, threshold = np.meshgrid([0.8, 1.0, 1.15, 1.3], np.geomspace(1e-4, 2, 40))
    return ALISTALayer(*(jnp.log(jnp.asarray(v.ravel(), dtype)) for v in (step, threshold)))


def trained_coupled(alista: ALISTA, task: Task, key: Array, steps: int = 200) -> Fit:
    """LISTA-CPSS from a trained ALISTA: scalars before matrices, at a hundredth of their rate."""
    if not isinstance(task.sensing, Sensing):
        raise ValueError("LISTA-CPSS learns dense matrices: task.sensing must be a Sensing.")
    start = CoupledLISTA.from_alista(alista, task.sensing)
    return trained(start, dataclasses.replace(task, problems=64), key, steps, 2e-3, weight=2e-5)
