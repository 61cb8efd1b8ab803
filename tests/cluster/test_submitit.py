"""A sweep by submitit's local executor: a process for every run."""

from benchmarks.faults import runs as commands


def test_a_sweep_of_processes(tmp_path):
    few = [*commands.SMALL, "train.steps=20"]
    commands.run(
        *few, "hydra/launcher=processes", "-m", "seed=0,1,2,3", f"hydra.sweep.dir={tmp_path}"
    )
    results = [commands.result(tmp_path / str(k)) for k in range(4)]
    assert len({result["parameters_sha256"] for result in results}) == 4
    assert [f"seed={k}" in result["command"] for k, result in enumerate(results)] == [True] * 4
