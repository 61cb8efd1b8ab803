"""Task-driven dictionary learning on digits and faces, and the cost of its gradient."""

import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from benchmarks.parts import Row
from benchmarks.sparse._dictionary_data import Table, digits, faces
from benchmarks.sparse._dictionary_race import race
from unrolljax.core.stop import Stop
from unrolljax.sparse import dictionary as dl
from unrolljax.sparse.dictionary import fitting

PART = "dictionary"
ATOMS, L1, L2, DECAY, RATE = 100, 0.15, 0.1, 3e-5, 1e-3
EPOCHS, FIRST_EPOCHS, BATCH = 60, 10, 128
TRAINING, SEEDS, FOLDS, REPEATS = 898, 3, 5, 3
MOST_ERRORS, LEAST_FEWER, MOST_SECONDS = 1.1, 20, 10
MOST_DIFFERENCE, LEAST_SPEED = 1e-4, 1.5


class Errors(NamedTuple):
    """Per cent of wrong labels, CPU seconds of the fit, and how many codes failed."""

    unsupervised: float
    supervised: float
    seconds: float
    failed: int


def run(quick: bool) -> list[Row]:
    """The four targets, and faces; `quick` fits two folds, and judges no errors."""
    table = digits()
    rows, seconds = _folds(table, "digits", quick, not quick)
    rows.append(_cost(seconds))
    if not quick:
        rows += _contiguous(table)
        rows += _folds(faces(), "faces", False, False)[0]
    return rows + _gradients(table)


def fit(training: Table, test: Table, seed: int) -> Errors:
    """The dictionary learned without and with labels, each with its own linear classifier."""
    random = np.random.default_rng(seed)
    start = time.process_time()
    coder = dl.Coder(jnp.asarray(L1), jnp.asarray(L2), stop=Stop(2000, jnp.asarray(1e-4)))
    samples = jnp.asarray(training.X, float)
    targets = jnp.asarray(np.eye(training.y.max() + 1)[training.y], float)
    fitted = fitting.fit(
        samples, targets, dl.cross_entropy, coder, random, atoms=ATOMS, batch=BATCH,
        initial_epochs=FIRST_EPOCHS, epochs=EPOCHS, learning_rate=RATE, decay=DECAY,
    )  # fmt: skip
    seconds = time.process_time() - start
    wrong = [_wrong(model, coder, test) for model in (fitted.unsupervised, fitted.trained.model)]
    failed = int(np.sum(fitted.status != 0) + np.sum(np.asarray(fitted.trained.status) != 0))
    return Errors(wrong[0], wrong[1], seconds, failed)


def _wrong(model: dl.Model, coder: dl.Coder, test: Table) -> float:
    codes = fitting.encode(coder, model.dictionary, test.X)
    if np.any(codes.status):
        return float("nan")
    return float(100 * np.mean(np.argmax(model.head(jnp.asarray(codes.value)), axis=1) != test.y))


def _folds(table: Table, name: str, few: bool, judge: bool) -> tuple[list[Row], list[float]]:
    """Errors of a stratified cross-validation, repeated; of the first two folds only, or of all."""
    from sklearn.model_selection import StratifiedKFold

    splits = [
        split
        for repeat in range(REPEATS)
        for split in StratifiedKFold(FOLDS, shuffle=True, random_state=repeat).split(*table)
    ]
    parts = [(_part(table, a), _part(table, b)) for a, b in splits][: 2 if few else None]
    found = [fit(*part, seed) for seed, part in enumerate(parts)]
    mean = np.mean([item[:2] for item in found], axis=0)
    peers = np.mean([_peers(*part) for part in parts], axis=0)
    label = f"{name}, mean of {len(parts)} folds: error of"
    target = f"<= {MOST_ERRORS} %" if judge else ""
    rows = [
        Row(PART, f"{label} supervised", f"{mean[1]:.2f} %", target, _verdict(judge, mean[1])),
        Row(PART, f"{label} unsupervised", f"{mean[0]:.2f} %"),
        Row(PART, f"{label} RBF-SVM, C = 1 and 10", "{:.2f} %, {:.2f} %".format(*peers)),
        Row(PART, f"{label} logistic regression", f"{peers[2]:.2f} %"),
        Row(PART, f"{name}: error of supervised, each repeat", _each_repeat(found)),
        Row(PART, f"{name}, codes that failed", str(sum(item.failed for item in found))),
    ]
    return rows, [item.seconds for item in found]


def _each_repeat(found: list[Errors]) -> str:
    errors = [item.supervised for item in found]
    means = [np.mean(errors[k : k + FOLDS]) for k in range(0, len(errors), FOLDS)]
    return ", ".join(f"{mean:.2f}" for mean in means) + " %"


def _verdict(judge: bool, error: float) -> bool | None:
    return bool(error <= MOST_ERRORS) if judge else None


def _contiguous(table: Table) -> list[Row]:
    """The split of scikit-learn's examples: the first half to learn, the second to test."""
    training, test = (Table(*(v[part] for v in table)) for part in _halves())
    found = np.asarray([fit(training, test, seed)[:2] for seed in range(SEEDS)])
    before, after = np.mean(found, axis=0)
    fewer = 100 * (1 - after / before)
    peers = _peers(training, test)
    label = f"digits, 898/899, {SEEDS} seeds:"
    target, passed = f">= {LEAST_FEWER} %", bool(fewer >= LEAST_FEWER)
    return [
        Row(PART, f"{label} supervised, fewer errors", f"{fewer:.1f} %", target, passed),
        Row(PART, f"{label} error supervised", f"{after:.2f} %"),
        Row(PART, f"{label} error unsupervised", f"{before:.2f} %"),
        Row(PART, f"{label} error RBF-SVM, C = 1 and 10", "{:.2f} %, {:.2f} %".format(*peers)),
    ]


def _cost(seconds: list[float]) -> Row:
    value = f"{seconds[0]:.1f} s, later {np.median(seconds[1:]):.1f} s"
    passed = bool(np.median(seconds[1:]) <= MOST_SECONDS)
    name = "CPU seconds of a fit: first, with compilation"
    return Row(PART, name, value, f"later <= {MOST_SECONDS} s", passed)


def _gradients(table: Table) -> list[Row]:
    """In float64 to a tolerance at which unrolling is exact; in float32 as training does it."""
    with jax.enable_x64(True):
        exact = race(table.X, table.y, 1e-10)
    single = race(table.X.astype(np.float32), table.y, 1e-4)
    rows = [
        Row(
            PART, "implicit against unrolled gradient, float64", f"{exact.difference:.1e}",
            f"<= {MOST_DIFFERENCE:g}", exact.difference <= MOST_DIFFERENCE,
        )
    ]  # fmt: skip
    for name, found in (("float64, tol 1e-10", exact), ("float32, tol 1e-4", single)):
        speed = found.unrolled / found.implicit
        value = f"{speed:.2f} ({found.steps} steps)"
        target = f">= {LEAST_SPEED}"
        passed = speed >= LEAST_SPEED
        rows.append(Row(PART, f"implicit faster, times, {name}", value, target, passed))
    return rows


def _peers(training: Table, test: Table) -> list[float]:
    """Per cent of errors of support vector machines and of logistic regression."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC

    models = [SVC(C=1.0), SVC(C=10.0), LogisticRegression(C=10.0, max_iter=2000)]
    return [100 * (1 - float(model.fit(*training).score(*test))) for model in models]


def _part(table: Table, places: NDArray) -> Table:
    return Table(table.X[places], table.y[places])


def _halves() -> tuple[slice, slice]:
    return slice(0, TRAINING), slice(TRAINING, None)
