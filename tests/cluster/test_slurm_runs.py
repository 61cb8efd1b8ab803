"""Experiments on Slurm: a sweep as a job array, ranks under srun, runs that are queued again."""

import re
import sys
import time

import pytest

from benchmarks.faults import runs as commands

RUN = [sys.executable, "-m", "experiments.lista", *commands.SMALL]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that nothing disturbs, in one process."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    commands.run(*commands.SMALL, f"hydra.run.dir={folder}")
    return folder


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def same(one, other):
    assert (one / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()
    hashes = [commands.result(path)["parameters_sha256"] for path in (one, other)]
    assert hashes[0] == hashes[1]


def test_a_sweep_is_a_job_array(slurm, whole, tmp_path):
    slurm.run(
        *RUN, "hydra/launcher=slurm", "hydra.launcher.timeout_min=10", "-m", "seed=0,1",
        "optimizer.learning_rate=0.03,0.01", f"hydra.sweep.dir={tmp_path}", seconds=240,
    )  # fmt: skip
    results = [commands.result(tmp_path / str(k)) for k in range(4)]
    assert len({result["parameters_sha256"] for result in results}) == 4
    same(tmp_path / "0", whole)
    tasks = {path.name for path in (tmp_path / ".submitit").glob("[0-9]*")}
    (job,) = {name.partition("_")[0] for name in tasks}
    assert tasks >= {f"{job}_{k}" for k in range(4)}


@pytest.mark.parametrize(
    "event", [("scontrol", "requeue"), ("scancel", "--signal=USR2")], ids=["requeue", "time-limit"]
)
def test_a_requeued_task_of_a_sweep_resumes_to_the_last_bit(slurm, whole, tmp_path, event):
    command = [
        *RUN, "hydra/launcher=slurm", "hydra.launcher.timeout_min=10", "-m", "seed=0",
        f"hydra.sweep.dir={tmp_path}",
    ]  # fmt: skip
    waiting = slurm.start(*command)
    folder = tmp_path / "0"
    wait_for(lambda: commands.steps(folder) > 300)
    (job,) = [path.name for path in (tmp_path / ".submitit").glob("[0-9]*")]
    slurm.run(*event, job)
    wait_for((folder / "result.json").exists)
    assert "Resumed from" in (folder / "run.log").read_text()
    same(folder, whole)
    assert waiting.wait(60) == 0


def test_two_ranks_under_srun_are_queued_again_and_resume(slurm, tmp_path):
    command = f"PYTHONPATH={commands.ROOT} srun {' '.join(RUN)}"
    folders = []
    for disturbed in (False, True):
        place = tmp_path / str(disturbed)
        place.mkdir()
        options = ("--nodes=2", "--ntasks=2", f"--chdir={place}")
        job = slurm.submit(command, place / "output.txt", *options)
        if disturbed:
            wait_for(lambda place=place: any(commands.steps(f) > 300 for f in find(place)))
            slurm.run("scontrol", "requeue", job)
        slurm.wait(job, "COMPLETED", seconds=180)
        (folder,) = find(place)
        assert re.fullmatch(rf"slurm-{job}\.0-[0-9a-f]{{6}}", folder.name)
        folders.append(folder)
    assert commands.result(folders[0])["processes"] == 2
    assert "Resumed from" in (folders[1] / "run.log").read_text()
    same(*folders)


def find(place):
    """The run folders below a working directory."""
    return list((place / "runs" / "lista").glob("*"))
