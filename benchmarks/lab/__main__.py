"""`python -m benchmarks.lab [--quick] [--check] [--json FILE]`.

The same training step, with its batch and its optimizer, called by a bare Python loop and by the
lab's outer loop with metrics, progress, signals and the latch. Both take turns.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh

from benchmarks.options import parser
from unrolljax import lab
from unrolljax.lab.checkpoint import Checkpoints
from unrolljax.lab.config.schema import Train
from unrolljax.lab.metrics import JsonLines
from unrolljax.lab.outer import Outer
from unrolljax.lab.progress import Progress
from unrolljax.lab.train import Training

TARGET = 1.03
MILLISECONDS = (20, 2)
SIZE = 256
BLOCK = 500  # milliseconds of steps that one loop runs before it is the other's turn


class Row(NamedTuple):
    """Milliseconds a step: medians, fastest blocks, the ratios of either; and of a checkpoint."""

    bare: float
    ours: float
    ratio: float
    fastest_bare: float
    fastest_ours: float
    ratio_of_fastest: float
    checkpoint: float


def experiment(products: int) -> lab.Experiment:
    """A step made of so many products of matrices, forwards and backwards."""

    def sample(data, key):
        return jax.random.normal(key, (SIZE, SIZE))

    def loss(weights, data, batch, carry):
        def layer(x, _):
            return jnp.tanh(x @ weights), None

        out = jax.lax.scan(layer, batch, length=products)[0]
        status = jnp.zeros(SIZE, jnp.int32)
        return lab.Outcome(jnp.mean(out**2), status, {"largest": jnp.max(out)})

    return lab.Experiment(parameters=jnp.eye(SIZE) / 2, sample=sample, loss=loss)


def bare_step(task: lab.Experiment, optimizer: optax.GradientTransformation):
    """What a careful user would write by hand."""

    def step(state, root):
        weights, inner, number = state
        batch = task.sample(None, jax.random.fold_in(root, number))
        value, slope = jax.value_and_grad(lambda w: task.loss(w, None, batch, None).loss)(weights)
        updates, inner = optimizer.update(slope, inner, weights)
        return (optax.apply_updates(weights, updates), inner, number + 1), value

    return jax.jit(step, donate_argnums=0)


def run_bare(task: lab.Experiment, steps: int) -> float:
    """Seconds a step of the bare loop."""
    optimizer = optax.adam(1e-3)
    step, root = bare_step(task, optimizer), jax.random.key(0)
    weights = jnp.array(task.parameters)
    state = (weights, optimizer.init(weights), jnp.zeros((), jnp.int32))
    state, _ = jax.block_until_ready(step(state, root))
    begun = time.perf_counter()
    for _ in range(steps):
        state, _ = step(state, root)
    jax.block_until_ready(state)
    return (time.perf_counter() - begun) / steps


def run_lab(task: lab.Experiment, steps: int, folder: Path) -> tuple[float, float]:
    """Seconds a step of the outer loop, and seconds of its checkpoint."""
    mesh = Mesh(np.asarray(jax.devices()[:1]), ("data",))
    outer = Outer(task, optax.adam(1e-3), mesh, 1, 0.0)
    settings = Train(steps=steps + 1, checkpoint_every=steps + 1)
    training = Training(outer, 0, settings, Checkpoints(folder / "checkpoints", keep=1))
    lines, progress, times = JsonLines(folder / "metrics.jsonl"), Progress(steps + 1, 0), []

    def write(line):
        lines(line)
        progress(line)
        times.append(time.perf_counter())

    training.run(write)
    ended = time.perf_counter()
    return (times[-1] - times[0]) / steps, ended - times[-1]


def measure(milliseconds: float, repetitions: int) -> Row:
    """Both loops in turn, on a step that takes about as long as asked for."""
    once = run_bare(experiment(8), 50) / 8
    task = experiment(max(1, round(milliseconds / 1000 / once)))
    steps = round(BLOCK / milliseconds)
    bare, ours, checkpoints = [], [], []

    def run_ours() -> None:
        with tempfile.TemporaryDirectory() as folder:
            seconds, checkpoint = run_lab(task, steps, Path(folder))
        ours.append(1000 * seconds)
        checkpoints.append(1000 * checkpoint)

    for repetition in range(repetitions):
        turns = [lambda: bare.append(1000 * run_bare(task, steps)), run_ours]
        for turn in turns if repetition % 2 else reversed(turns):
            turn()
    return Row(
        bare=statistics.median(bare),
        ours=statistics.median(ours),
        ratio=statistics.median(ours) / statistics.median(bare),
        fastest_bare=min(bare),
        fastest_ours=min(ours),
        ratio_of_fastest=min(ours) / min(bare),
        checkpoint=statistics.median(checkpoints),
    )


def main() -> int:
    """Measure, print, write; 1 if `--check` finds that the target is missed."""
    options = parser("lab", __doc__, quick="fewer repetitions").parse_args()
    print("         median: bare     ours   ratio   fastest: bare     ours   ratio   checkpoint")
    rows = {}
    for milliseconds in MILLISECONDS:
        row = measure(milliseconds, 8 if options.quick else 40)
        median = f"{row.bare:8.2f} {row.ours:8.2f}   {row.ratio:.3f}"
        fastest = f"{row.fastest_bare:8.2f} {row.fastest_ours:8.2f}   {row.ratio_of_fastest:.3f}"
        print(
            f"{milliseconds:3} ms        {median}        {fastest}   {row.checkpoint:10.1f}",
            flush=True,
        )
        rows[milliseconds] = row._asdict()
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    missed = rows[MILLISECONDS[0]]["ratio"] > TARGET
    if options.check:
        print(f"Target {TARGET} at {MILLISECONDS[0]} ms: {'missed' if missed else 'met'}.")
    return int(options.check and missed)


if __name__ == "__main__":
    sys.exit(main())
