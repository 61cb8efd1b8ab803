"""The trained group network beside a matrix a group, single entries, and group FISTA."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from unrolljax.sparse import training
from unrolljax.sparse.networks import CoupledLISTA, HybridLISTA, Network, after_each_layer, decode
from unrolljax.sparse.networks.block_lista import BlockLISTA, parameter_count
from unrolljax.sparse.partition import Entries, Partition
from unrolljax.sparse.sensing import Sensing, SensingOperator

GROUPS, BLOCKS, ENTRIES = "groups", "a matrix a group", "single entries"
FISTA = "group FISTA"
VALIDATION = 48

Networks = dict[str, Network]


class Contest(NamedTuple):
    """The task by groups, the same operator for single entries, the groups, FISTA's iterations."""

    task: training.Task
    plain: Sensing
    partition: Partition
    iterations: int

    def sensing(self, name: str) -> SensingOperator:
        """The operator with the analytic weight that a network knows."""
        return self.plain if name == ENTRIES else self.task.sensing

    def codes(self, probability: float, key: Array, problems: int) -> training.Codes:
        """Group-sparse codes."""
        ensemble = training.Ensemble(probability, partition=self.partition)
        return ensemble.draw(self.task.sensing, key, problems)

    def best_weight(self, probability: float, key: Array, steps: int | None = None) -> Array:
        """Group FISTA's after so many steps (all iterations), chosen on validation codes."""
        codes = self.codes(probability, key, VALIDATION)
        steps = steps or self.iterations
        return training.best_weight(self.plain, codes, steps, True, self.partition)

    def fista(self, y: Array, weight: Array) -> Float[Array, "batch n"]:
        """Group FISTA's codes after all iterations."""
        return training.lasso_codes(self.plain, y, weight, self.iterations, True, self.partition)


def trained(
    contest: Contest, network: HybridLISTA, key: Array, steps: int, block_steps: int
) -> Networks:
    """The network that was trained, and those that it is compared with."""
    task = contest.task
    blocks = BlockLISTA.from_hybrid(network, task.sensing)
    entries = HybridLISTA.start(network.depth, Entries(), dtype=task.sensing.dtype)
    plain = training.Task(contest.plain, task.ensembles, problems=task.problems)
    networks: Networks = {GROUPS: network}
    fit = training.trained(blocks, task, key, block_steps, 2e-3, blocks=1e-3)
    networks[BLOCKS] = fit.parameters
    networks[ENTRIES] = training.trained(entries, plain, key, steps).parameters
    return networks


def by_layer(
    contest: Contest, networks: Networks, test: training.Codes, weight: Array
) -> dict[str, np.ndarray]:
    """Total NMSE in dB after each layer, and after as many iterations of group FISTA."""
    courses = {
        name: after_each_layer(network, contest.sensing(name), test.y)
        for name, network in networks.items()
    }
    depth = networks[GROUPS].depth
    courses[FISTA] = training.lasso_codes_by_step(
        contest.task.sensing, test.y, weight, depth, True, contest.partition
    )
    error = jax.vmap(training.total_nmse, (0, None))
    return {name: np.asarray(error(course, test.x)) for name, course in courses.items()}


def sweep(
    contest: Contest, networks: Networks, probabilities: list[float], key: Array, problems: int
) -> dict[str, list[float]]:
    """Total NMSE in dB by group probability; FISTA has its best weight at each."""
    errors: dict[str, list[float]] = {name: [] for name in (*networks, FISTA)}
    for probability in probabilities:
        codes = contest.codes(probability, key, problems)
        found = {
            name: _decoded(contest, name, network, codes) for name, network in networks.items()
        }
        weight = contest.best_weight(probability, jax.random.fold_in(key, 1))
        found[FISTA] = contest.fista(codes.y, weight)
        for name, x in found.items():
            errors[name].append(float(training.total_nmse(x, codes.x)))
    return errors


def results(
    contest: Contest, networks: Networks, test: training.Codes, weight: Array
) -> dict[str, Any]:
    """Both metrics and the learned numbers of each, and those of a dense network."""
    table = {}
    for name, network in networks.items():
        x = _decoded(contest, name, network, test)
        table[name] = _metrics(x, test) | {"numbers": parameter_count(network)}
    name = f"{FISTA}, {contest.iterations} iterations"
    table[name] = _metrics(contest.fista(test.y, weight), test) | {"numbers": 0}
    depth = networks[GROUPS].depth
    dense = jax.eval_shape(lambda: CoupledLISTA.start(contest.plain, depth, 0.1, 0.1))
    return table | {"numbers of a dense network (LISTA-CP)": parameter_count(dense)}


def _decoded(contest: Contest, name: str, network: Network, codes: training.Codes) -> Array:
    return decode(network, contest.sensing(name), codes.y).value


def _metrics(x: Array, codes: training.Codes) -> dict[str, float]:
    metrics = {"total": training.total_nmse, "mean of dB": training.mean_nmse}
    return {f"NMSE dB, {name}": float(jnp.asarray(f(x, codes.x))) for name, f in metrics.items()}
