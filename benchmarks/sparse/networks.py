"""Learned-ISTA networks against published figures: 16 layers, errors on 1000 test codes.

Learning rates and constants were chosen on validation codes; CPU seconds include compilation.
"""

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.parts import Row
from unrolljax.core.stop import Stop
from unrolljax.sparse import training
from unrolljax.sparse.networks import LISTA, CoupledLISTA, Network, Selection, decode
from unrolljax.sparse.sensing import Sensing

LAYERS, TESTS = 16, 1000
PLAIN = training.Ensemble()


def run(quick: bool) -> list[Row]:
    """The Chen-Liu setting, Open-L2O's, and one network for many noises and sparsities."""
    rows = few_numbers(quick)
    return rows if quick else rows + matrices() + open_l2o() + mixed()


def few_numbers(quick: bool) -> list[Row]:
    """250 x 500: classical iterations, three constants, four numbers a layer."""
    bench = _Bench("250x500", _sensing(250, 500))
    task = training.Task(bench.sensing)
    rows = [] if quick else bench.classical()
    rows += bench.measure(
        "HyperLISTA, 3 constants", lambda: training.tuned_hyperlista(task, _key())[0], -85, 30
    )
    if not quick:
        rows += bench.measure(
            "4 numbers a layer", lambda: training.trained_hybrid(task, _key()).parameters, -95, 60
        )
    return rows


def matrices() -> list[Row]:
    """250 x 500: two numbers a layer, then a matrix a layer; the same from a cold start."""
    bench = _Bench("250x500", _sensing(250, 500))
    task, selection = training.Task(bench.sensing), Selection(0.012, 0.13)
    step = float(1 / np.linalg.norm(bench.sensing.A, 2) ** 2)
    found: dict[str, Network] = {}

    def alista() -> Network:
        found["alista"] = training.trained_alista(task, _key()).parameters
        return found["alista"]

    def warm() -> Network:
        start = training.trained_alista(task, _key()).parameters
        return training.trained_coupled(start, task, _key()).parameters

    def cold(start: Network) -> Callable[[], Network]:
        return lambda: training.trained(start, task, _key(), 200, 1e-2, **MATRICES).parameters

    plain = CoupledLISTA.start(bench.sensing, LAYERS, step, 0.1)
    selecting = CoupledLISTA.start(bench.sensing, LAYERS, step, 0.1, selection)
    return [
        *bench.measure("ALISTA", alista, -62),
        *bench.measure("LISTA-CPSS, warm chain", warm, -65, 240),
        *bench.measure("LISTA-CPSS, cold, as many steps", cold(selecting)),
        *bench.measure("LISTA-CP, cold, as many steps", cold(plain)),
        *bench.measure(
            "LISTA, cold, as many steps", cold(LISTA.start(bench.sensing, LAYERS, step, 0.1))
        ),
    ]


MATRICES = {"weight": 3e-4, "analysis": 3e-4, "recurrence": 3e-4}
"""Learning rates of matrices from a cold start."""


def open_l2o() -> list[Row]:
    """Open-L2O's sizes and metric, the mean of dB, beside the best published figures."""
    rows = []
    for m, n, snr, target in (
        (256, 512, np.inf, -85),
        (512, 1024, np.inf, -85),
        (256, 512, 20, -21),
    ):
        ensemble = training.Ensemble(snr=float(snr))
        bench = _Bench(f"{m}x{n}, SNR {snr:g}", _sensing(m, n), ensemble, mean=True)
        task = training.Task(bench.sensing, (ensemble,))
        noisy = bool(np.isfinite(snr))

        def network(task=task, noisy=noisy) -> Network:
            return training.trained_hybrid(task, _key(), blended=noisy, steps=300).parameters

        rows += bench.measure("4 numbers a layer" + ", blend" * noisy, network, target)
        rows += bench.measure(
            "HyperLISTA, 3 constants", lambda task=task: training.tuned_hyperlista(task, _key())[0]
        )
    return rows


def mixed() -> list[Row]:
    """One network for noises and sparsities that differ, and the floor of known supports."""
    sensing = _sensing(250, 500)
    cases = [(0.1, np.inf, -np.inf), (0.12, np.inf, -70), (0.15, np.inf, -40)]
    cases += [(0.1, 40, -41.5), (0.1, 30, -31), (0.1, 20, -20.2)]
    ensembles = tuple(training.Ensemble(p, float(snr)) for p, snr, _ in cases)
    weights = jnp.array([1.0, 1, 1, 5, 5, 5])
    task = training.Task(sensing, ensembles, weights, problems=32)
    start = time.process_time()
    network = training.trained_hybrid(task, _key(), blended=True, steps=300).parameters
    seconds = time.process_time() - start
    rows = [Row("one network", "training", f"{seconds:.0f} CPU-s")]
    for ensemble, (p, snr, target) in zip(ensembles, cases, strict=True):
        bench = _Bench(f"p {p:g}, SNR {snr:g}", sensing, ensemble)
        rows += bench.errors(
            "one network for all", network, target if p != 0.1 or snr < 99 else None
        )
        if np.isfinite(snr):
            floor = jnp.asarray(training.oracle_codes(sensing, bench.test), jnp.float32)
            rows.append(bench.row("least squares on the true support", floor))
    return rows


class _Bench:
    """One setting, its test codes, and the rows of its networks."""

    def __init__(self, part, sensing, ensemble=PLAIN, mean=False):
        self.part, self.sensing, self.mean = part, sensing, mean
        self.test = ensemble.draw(sensing, jax.random.key(1000), TESTS)
        self.validation = ensemble.draw(sensing, jax.random.key(2000), 256)

    def measure(self, name, make, target=None, budget=None) -> list[Row]:
        """The errors of the network that `make` trains, and its CPU seconds."""
        start = time.process_time()
        network = make()
        seconds = time.process_time() - start
        late = None if budget is None else seconds <= budget
        limit = "" if budget is None else f"<= {budget}"
        rows = self.errors(name, network, target)
        return [*rows, Row(self.part, f"{name}, training", f"{seconds:.1f} CPU-s", limit, late)]

    def errors(self, name, network, target=None) -> list[Row]:
        """Both metrics, one of them with the target."""
        stop = Stop(LAYERS, tol=None)
        solution = decode(network, self.sensing, self.test.y, stop=stop)
        return [self.row(name, solution.value, target)]

    def row(self, name, x, target=None) -> Row:
        total = float(training.total_nmse(x, self.test.x))
        mean = float(training.mean_nmse(x, self.test.x))
        judged = mean if self.mean else total
        limit = "" if target is None else f"<= {target} ({'mean' if self.mean else 'total'})"
        passed = None if target is None else judged <= target
        return Row(self.part, name, f"total {total:.1f}, mean {mean:.1f} dB", limit, passed)

    def classical(self) -> list[Row]:
        """ISTA and FISTA, each with its best weight."""
        rows = []
        for name, accelerated in (("ISTA", False), ("FISTA", True)):
            weight = training.best_weight(self.sensing, self.validation, LAYERS, accelerated)
            codes = training.lasso_codes(self.sensing, self.test.y, weight, LAYERS, accelerated)
            rows.append(self.row(f"{name}, {LAYERS} iterations", codes))
        return rows


def _sensing(m: int, n: int) -> Sensing:
    A = np.random.default_rng(7).standard_normal((m, n))
    return Sensing.of(jnp.asarray(A / np.linalg.norm(A, axis=0), jnp.float32))


def _key() -> jax.Array:
    return jax.random.key(0)
