"""The command line, in processes of its own: validated, run, killed, resumed, swept."""

import signal
import subprocess
import sys

import pytest

from benchmarks.faults import runs as commands


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing disturbs."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    output = commands.run(*commands.SMALL, f"hydra.run.dir={folder}")
    return folder, output


def test_a_run_leaves_a_whole_folder(whole):
    folder, output = whole
    present = {path.name for path in folder.iterdir()}
    assert present == {
        "checkpoints", "config.yaml", "environment.json", "figure.png", "launch.json",
        "metrics.jsonl", "report.md", "result.json", "run.log",
    }  # fmt: skip
    result = commands.result(folder)
    assert result["compilations_after_warmup"] == 0
    assert result["steps"] == 2000
    assert result["command"].startswith("python -m experiments.lista rows=8 ")
    errors = {f"NMSE dB, {name}" for name in ("learned", "ISTA", "FISTA")}
    assert set(result["results"]) == errors | {"mean of dB, learned", "numbers"}
    assert "NMSE dB, learned" in output
    assert "step 2000/2000  loss " in (folder / "run.log").read_text()
    assert len(commands.result(folder)["parameters_sha256"]) == 64


def test_a_finished_run_is_not_run_again(whole):
    folder, _ = whole
    before = (folder / "result.json").read_bytes()
    same = [*commands.SMALL, f"hydra.run.dir={folder}"]
    assert "has finished already" in commands.run(*same)
    assert (folder / "result.json").read_bytes() == before
    refused = commands.run(*same, "seed=1", expect=2)
    assert "holds a run of another configuration" in refused
    assert (folder / "result.json").read_bytes() == before


def test_a_wrong_configuration_writes_nothing(tmp_path):
    folder = tmp_path / "run"
    wrong = [
        "rows=-1",
        "colums=3",
        "gradient=unrol",
        "train.steps=many",
        "optimizer.lerning_rate=1",
    ]
    output = commands.run(*wrong, f"hydra.run.dir={folder}", expect=2)
    assert output.startswith("6 problems in the configuration of lista:")
    for key in ("rows", "did you mean 'columns'", "did you mean 'unroll'", "train.steps",
                "did you mean 'learning_rate'"):  # fmt: skip
        assert key in output
    assert not folder.exists()
    output = commands.run("-m", "seed=0,-1", f"hydra.sweep.dir={folder}", expect=2)
    assert output.startswith("1 problem in")
    assert not folder.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_saves_and_resume_continues(whole, tmp_path, number):
    folder = tmp_path / "run"
    arguments = [*commands.SMALL, f"hydra.run.dir={folder}"]
    process = commands.start(*arguments)
    commands.wait_for_step(process, folder, 100)
    process.send_signal(number)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 128 + number, output
    assert not (folder / "result.json").exists()
    command = [sys.executable, "-m", "unrolljax", "resume", str(folder)]
    subprocess.run(command, cwd=commands.ROOT, check=True, capture_output=True, timeout=120)
    assert (
        commands.result(folder)["parameters_sha256"]
        == commands.result(whole[0])["parameters_sha256"]
    )
    assert (folder / "metrics.jsonl").read_bytes() == (whole[0] / "metrics.jsonl").read_bytes()


def test_a_sweep_goes_on_after_a_run_that_failed(tmp_path):
    rates = "optimizer.learning_rate=1e20,0.02"
    few = ["train.steps=20", f"hydra.sweep.dir={tmp_path}"]
    output = commands.run("-m", *commands.SMALL, *few, rates, expect=1)
    assert "The first NaN was made by " in output
    report = (tmp_path / "0" / "report.md").read_text()
    assert report.startswith("# Failed\n\nStep 2 failed")
    assert "The first NaN was made by " in report
    assert not (tmp_path / "0" / "result.json").exists()
    assert list((tmp_path / "0" / "bad_step").glob("*/manifest.json"))
    assert commands.result(tmp_path / "1")["status"] == "finished"


def test_a_combination_that_is_wrong_is_told_by_its_run(tmp_path):
    """Every value by itself is right, so that the sweep is launched."""
    pairs = ["train.patience=null,2", "train.evaluate_every=2,0"]
    few = ["train.steps=4", f"hydra.sweep.dir={tmp_path}"]
    output = commands.run("-m", *commands.SMALL, *few, *pairs, expect=1)
    assert "patience counts evaluations, so it needs evaluate_every >= 1" in output
    finished = [(tmp_path / str(k) / "result.json").exists() for k in range(4)]
    assert finished == [True, True, True, False]


def test_the_configuration_can_be_shown_without_running(tmp_path):
    shown = commands.run("--cfg", "job", "rows=7", f"hydra.run.dir={tmp_path / 'run'}")
    assert "rows: 7" in shown
    assert not (tmp_path / "run").exists()


def test_half_of_a_rank_is_one_clear_error(tmp_path):
    half = {"JAX_COORDINATOR_ADDRESS": "127.0.0.1:1", "JAX_NUM_PROCESSES": "2"}
    output = commands.run(f"hydra.run.dir={tmp_path / 'run'}", environment=half, expect=2)
    assert "not set: JAX_PROCESS_ID" in output
    assert "Traceback" not in output
    assert not (tmp_path / "run").exists()
