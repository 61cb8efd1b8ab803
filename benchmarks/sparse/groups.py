"""Group networks on group-sparse codes: 250 x 500, 100 groups of 5, 16 layers, 5000 test codes.

All networks are trained alike: the probability of the test and half as much again, at most 0.25,
since the total error is decided by the few codes with the most groups. Of 1000 test codes one or
two decide it: the gain of groups then moved between 23 and 50 dB with the draw.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.parts import Row
from unrolljax.sparse import training
from unrolljax.sparse.networks import LISTA, CoupledLISTA, HybridLISTA, Network, decode
from unrolljax.sparse.networks.block_lista import BlockLISTA, parameter_count
from unrolljax.sparse.partition import Blocks, Entries, Groups, Partition
from unrolljax.sparse.sensing import Sensing

PART, LAYERS, TESTS, TEST_SEED, ITERATIONS = "groups", 16, 5000, 20261, 200
TARGETS = {0.1: -85, 0.2: -31, 0.25: -22}
HARDEST = 0.25


def run(quick: bool) -> list[Row]:
    """Networks and group FISTA by probability, their numbers, groups of different sizes."""
    A = np.random.default_rng(7).standard_normal((250, 500))
    A = jnp.asarray(A / np.linalg.norm(A, axis=0), jnp.float32)
    rows = []
    for probability in [0.1] if quick else TARGETS:
        rows += _at(probability, A, Blocks(5), quick)
    return rows if quick else rows + _unequal(A)


def _at(probability: float, A: jax.Array, partition: Partition, quick: bool) -> list[Row]:
    """One probability; the elementwise network is the same one without groups."""
    setting = f"p {probability:g}"
    sensing, plain = Sensing.of(A, partition), Sensing.of(A)
    test = _ensemble(probability, partition).draw(sensing, jax.random.key(TEST_SEED), TESTS)
    target = TARGETS[probability]
    scalars, seconds = _trained(sensing, partition, probability, partition)
    errors = _errors(scalars, sensing, test)
    rows = [_row(f"{setting}, groups", errors, seconds, scalars, target)]
    if quick:
        return rows
    entries, seconds = _trained(plain, partition, probability, Entries())
    single = _errors(entries, plain, test)
    needed = 30 if probability == 0.1 else None
    rows.append(_row(f"{setting}, single entries", single, seconds, entries))
    rows.append(_difference(f"{setting}, gain of groups", single[0] - errors[0], needed))
    start = time.process_time()
    blocks = BlockLISTA.from_hybrid(scalars, sensing)
    task = _task(sensing, partition, probability)
    blocks = training.trained(blocks, task, jax.random.key(5), 150, 2e-3, blocks=1e-3).parameters
    seconds = time.process_time() - start
    rows.append(
        _row(
            f"{setting}, a matrix a group", _errors(blocks, sensing, test), seconds, blocks, target
        )
    )
    rows.append(_fista(setting, sensing, partition, probability, test))
    return rows + (_numbers(blocks, plain) if probability == 0.1 else [])


def _unequal(A: jax.Array) -> list[Row]:
    """100 groups of random sizes, 5 on average."""
    random = np.random.default_rng(0)
    labels = random.permutation(np.r_[:100, random.integers(0, 100, 400)])
    partition = Groups(labels)
    sensing = Sensing.of(A, partition)
    test = _ensemble(0.1, partition).draw(sensing, jax.random.key(TEST_SEED), TESTS)
    network, seconds = _trained(sensing, partition, 0.1, partition)
    errors = _errors(network, sensing, test)
    sizes = np.bincount(labels)
    name = f"p 0.1, groups of {sizes.min()} to {sizes.max()}"
    return [_row(name, errors, seconds, network, -85)]


def _ensemble(probability: float, partition: Partition) -> training.Ensemble:
    return training.Ensemble(probability, partition=partition)


def _task(sensing: Sensing, partition: Partition, probability: float) -> training.Task:
    """Codes are sparse by groups, whatever the network knows of them."""
    harder = min(1.5 * probability, HARDEST)
    ensembles = tuple(_ensemble(p, partition) for p in (probability, harder))
    return training.Task(sensing, ensembles, problems=64)


def _trained(sensing, partition, probability, known: Partition) -> tuple[HybridLISTA, float]:
    """Four numbers a layer, by the `known` groups, and the CPU seconds that took."""
    start = time.process_time()
    task = _task(sensing, partition, probability)
    found = training.trained_hybrid(task, jax.random.key(0), LAYERS, known)
    return found.parameters, time.process_time() - start


def _errors(network: Network, sensing: Sensing, test: training.Codes) -> tuple[float, float]:
    return _metrics(decode(network, sensing, test.y).value, test)


def _metrics(x: jax.Array, test: training.Codes) -> tuple[float, float]:
    return float(training.total_nmse(x, test.x)), float(training.mean_nmse(x, test.x))


def _fista(setting, sensing, partition, probability, test) -> Row:
    """Its weight is chosen on validation codes."""
    validation = _ensemble(probability, partition).draw(sensing, jax.random.key(2000), 64)
    weight = training.best_weight(sensing, validation, ITERATIONS, True, partition)
    x = jax.lax.map(
        lambda y: training.lasso_codes(sensing, y, weight, ITERATIONS, True, partition),
        test.y.reshape(10, -1, test.y.shape[1]),
    )
    total, mean = _metrics(x.reshape(test.x.shape), test)
    name = f"{setting}, group FISTA, {ITERATIONS} iterations"
    return Row(PART, name, f"total {total:.1f}, mean {mean:.1f} dB")


def _numbers(blocks: Network, sensing: Sensing) -> list[Row]:
    """Learned numbers, by the side of dense networks of as many layers."""
    dense = CoupledLISTA.start(sensing, LAYERS, 0.1, 0.1)
    full = LISTA.start(sensing, LAYERS, 0.1, 0.1)
    counts = [parameter_count(network) for network in (blocks, dense, full)]
    names = ("a matrix a group", "a matrix a layer (LISTA-CP)", "two a layer (LISTA)")
    rows = [Row(PART, f"numbers, {name}", f"{n:,}") for name, n in zip(names, counts, strict=True)]
    ratio = counts[0] / counts[1]
    verdict = Row(
        PART, "numbers, blocks / LISTA-CP", f"1/{1 / ratio:.0f}", "<= 1/20", ratio <= 1 / 20
    )
    return [*rows, verdict]


def _row(name, errors, seconds, network, target=None) -> Row:
    total, mean = errors
    value = f"total {total:.1f}, mean {mean:.1f} dB, {seconds:.0f} CPU-s"
    name = f"{name} ({parameter_count(network):,} numbers)"
    limit = "" if target is None else f"<= {target} (total)"
    return Row(PART, name, value, limit, None if target is None else total <= target)


def _difference(name: str, gain: float, needed: float | None) -> Row:
    limit = "" if needed is None else f">= {needed} dB"
    return Row(PART, name, f"{gain:.1f} dB", limit, None if needed is None else gain >= needed)
