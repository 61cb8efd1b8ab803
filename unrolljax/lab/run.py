"""One run of one experiment, from its configuration to its result."""

import logging
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from unrolljax.lab import devices, metrics, report
from unrolljax.lab.autopsy import explain
from unrolljax.lab.checkpoint import Checkpoints
from unrolljax.lab.compilations import Compilations, counted
from unrolljax.lab.config.schema import Config
from unrolljax.lab.ends import Failed
from unrolljax.lab.experiment import Experiment, Line
from unrolljax.lab.folder import RunFolder, write
from unrolljax.lab.manifest import digest
from unrolljax.lab.outer import Outer
from unrolljax.lab.progress import Progress
from unrolljax.lab.train import BadStep, Training

log = logging.getLogger(__name__)


def run(folder: RunFolder, config: Config, build: Callable[[Any], Experiment]) -> None:
    """Train, or continue, and write the result.

    A run that has finished is not run again. Raises `Failed` after a bad step, and `Interrupted`
    after a signal.
    """
    if folder.result:
        log.info("%s has finished already.", folder.path)
        return
    begun = time.perf_counter()
    devices.prepare(config)
    first = jax.process_index() == 0
    if first:
        folder.begin()
    with counted() as compiled:
        training = prepare(build(config), config, folder.path)
        warm = compiled.count
        learned = _train(training, config, folder.path)
        facts = {
            "steps": training.done,
            "training_seconds": round(training.seconds, 3),
            "compilations_after_warmup": compiled.count - warm,
        }
        headline = _finish(training.outer, learned, folder.path) if first else {}
    if first:
        seconds = round(time.perf_counter() - begun, 3)
        facts |= {"seconds": seconds, **_cost(compiled), "parameters_sha256": digest(learned)}
        _write_result(folder, headline, facts)
    training.wait()


def prepare(experiment: Experiment, config: Config, path: Path) -> Training:
    """The experiment compiled for the devices of the configuration, and resumed if it was begun."""
    train = config.train
    mesh = devices.data_mesh(config.devices)
    outer = Outer(
        experiment, config.optimizer.build(), mesh, train.accumulate, train.max_failed,
        train.max_skipped,
    )  # fmt: skip
    return Training(outer, config.seed, train, Checkpoints(path / "checkpoints", train.keep))


def _train(training: Training, config: Config, path: Path) -> PyTree:
    """Run with the writers of the first process; the others have none."""
    writers = _writers(training, config, path) if jax.process_index() == 0 else []

    def tell(line: Line) -> None:
        for listener in (*writers, *training.outer.experiment.callbacks):
            listener(line)

    try:
        return training.run(tell)
    except BadStep as bad:
        if jax.process_index() == 0:
            _bury(bad, training.outer, config.seed, path)
        training.wait()
        raise Failed(f"{bad} See {path / 'report.md'}.") from None
    finally:
        for writer in writers:
            writer.close()


def _writers(training: Training, config: Config, path: Path) -> list[Any]:
    lines = metrics.JsonLines(path / "metrics.jsonl")
    lines.truncate(training.done)
    writers: list[Any] = [lines, Progress(config.train.steps, training.done)]
    if config.tensorboard:
        writers.append(metrics.TensorBoard(path / "tensorboard", training.done))
    return writers


def _bury(bad: BadStep, outer: Outer, seed: int, path: Path) -> None:
    """Save the state before a bad step, repeat the step, and write down why it failed."""
    Checkpoints(path / "bad_step", keep=1).save(int(bad.state.step), (bad.state, None), {})
    reason = explain(outer, bad.state, seed)
    log.error("%s", reason)
    remains = "The state before this step is in bad_step/."
    write(path / "report.md", f"# Failed\n\n{bad}\n\n{reason}\n\n{remains}\n")


def _finish(outer: Outer, learned: PyTree, path: Path) -> dict[str, Any]:
    finish = outer.experiment.finish
    parameters = outer.complete(jax.tree.map(jnp.asarray, learned))
    return dict(finish(parameters, path)) if finish else {}


def _write_result(folder: RunFolder, headline: dict[str, Any], facts: dict[str, Any]) -> None:
    result = {
        "experiment": folder.experiment,
        "command": folder.command,
        "status": "finished",
        "results": headline,
        "config_sha256": folder.sha256,
        **facts,
    }
    lines = metrics.read(folder.path / "metrics.jsonl")
    folder.finish(result, report.markdown(result, lines))
    print(report.headline(headline))
    log.info("Finished: %s", folder.path)


def _cost(compiled: Compilations) -> dict[str, Any]:
    """What the run took of this machine; the host's peak is that of the process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "compilations": compiled.count,
        "compilations_from_cache": compiled.cached,
        "compile_seconds": round(compiled.seconds, 3),
        "peak_host_mb": round(peak / (1e6 if sys.platform == "darwin" else 1e3), 1),
        "peak_device_mb": devices.peak_device_megabytes(),
        "platform": jax.default_backend(),
        "devices": len(jax.devices()),
        "processes": jax.process_count(),
    }
