"""SIGKILL at random points, and SIGTERM within a sweep."""

import random
import signal
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.faults import runs


class Survived(NamedTuple):
    """Faults done, resumptions from a checkpoint, differing lines of metrics, same final bits."""

    faults: int
    resumed: int
    differing_lines: int
    same_parameters: bool


def kill_at_random(folder: Path, whole: Path, arguments: list[str], kills: int) -> Survived:
    """One run, killed many times at random steps and moments, resumed each time.

    Checkpoints are frequent, so that some kills fall into the writing of one.
    """
    draw, resumed = random.Random(0), 0
    stride = runs.result(whole)["steps"] // (kills + 1)
    for _ in range(kills):
        process = runs.start(*arguments, f"hydra.run.dir={folder}")
        target = runs.steps(folder) + draw.randrange(1, stride)
        runs.wait_for_step(process, folder, target)
        time.sleep(draw.uniform(0, 0.03))
        process.kill()
        output = process.communicate()[0]
        assert process.returncode == -signal.SIGKILL, output
        resumed += "Resumed from" in output
    resumed += "Resumed from" in runs.run(*arguments, f"hydra.run.dir={folder}")
    same = runs.same_parameters(folder, whole)
    return Survived(kills, resumed, runs.differing_lines(folder, whole), same)


def terminate_a_sweep(folder: Path, wholes: list[Path], arguments: list[str]) -> Survived:
    """SIGTERM in every run of a sweep over seeds, one after the other; relaunched each time."""
    seeds = ",".join(str(seed) for seed in range(len(wholes)))
    sweep = ["-m", f"seed={seeds}", *arguments, f"hydra.sweep.dir={folder}"]
    resumed = 0
    for k in range(len(wholes)):
        process = runs.start(*sweep)
        runs.wait_for_step(process, folder / str(k), 200)
        process.send_signal(signal.SIGTERM)
        output = process.communicate(timeout=60)[0]
        assert process.returncode == 128 + signal.SIGTERM, output
        resumed += "Resumed from" in output
    resumed += "Resumed from" in runs.run(*sweep)
    pairs = [(folder / str(k), whole) for k, whole in enumerate(wholes)]
    differing = sum(runs.differing_lines(*pair) for pair in pairs)
    return Survived(len(wholes), resumed, differing, all(runs.same_parameters(*p) for p in pairs))
