"""The command `unrolljax`: what it prints, where it writes, and how it ends."""

import json
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from unrolljax.lab.cli import command, doctor

ROOT = Path(__file__).parents[3]


@pytest.fixture
def run(tmp_path):
    """A run folder that has been begun."""
    folder = tmp_path / "a=1, it's"
    folder.mkdir()
    launch = {"module": "experiments.lista", "overrides": ["seed=3", "platform=null"]}
    (folder / "launch.json").write_text(json.dumps(launch))
    (folder / "config.yaml").write_text("seed: 3\n")
    return folder


@pytest.fixture
def launched(monkeypatch):
    """The arguments of `launch`, which does nothing else."""
    calls = []
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT))
    module = sys.modules["unrolljax.lab.main"]
    monkeypatch.setattr(module, "launch", lambda *arguments: calls.append(arguments))
    return calls


def test_report_prints_the_table_and_says_where_the_figure_is(run, capsys):
    assert command.main(["report", str(run)]) == 0
    output = capsys.readouterr().out
    assert "unfinished: step 0" in output
    assert output.endswith(f"{run / 'comparison.png'}\n")
    assert (run / "comparison.png").exists()


def test_report_draws_several_runs_beside_them_or_where_it_is_told(run, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "launch.json").write_text("{}")
    assert command.main(["report", str(run), str(other)]) == 0
    assert (tmp_path / "comparison.png").exists()
    assert command.main(["report", str(run), "--out", str(tmp_path / "new" / "folder")]) == 0
    assert (tmp_path / "new" / "folder" / "comparison.png").exists()
    assert not (run / "comparison.png").exists()


@pytest.mark.parametrize("subcommand", ["report", "resume"])
def test_a_path_without_a_run_is_one_error(subcommand, tmp_path, capsys):
    assert command.main([subcommand, str(tmp_path)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert f"{tmp_path} holds no run: there is no launch.json" in output.err


def test_resume_launches_again_with_the_folder_and_later_overrides(run, launched):
    assert command.main(["resume", str(run), "platform=cpu", "devices=2"]) == 0
    ((module, config, arguments),) = launched
    assert (module, config.__module__) == ("experiments.lista", "experiments.lista.__main__")
    assert arguments[:3] == ["seed=3", "platform=cpu", "devices=2"]
    (folder,) = OverridesParser.create().parse_overrides(arguments[3:])
    assert (folder.key_or_group, folder.value()) == ("hydra.run.dir", str(run))


def test_resume_finds_the_main_module_of_a_package(run, launched):
    launch = {"module": "experiments.deblur.__main__", "overrides": []}
    (run / "launch.json").write_text(json.dumps(launch))
    assert command.main(["resume", str(run)]) == 0
    assert launched[0][:2] == (launch["module"], command._import("experiments.deblur").Config)


def test_resume_says_where_an_experiment_cannot_be_imported(run, launched, capsys):
    (run / "launch.json").write_text('{"module": "absent_package.x", "overrides": []}')
    assert command.main(["resume", str(run)]) == 2
    assert "There is no module absent_package here." in capsys.readouterr().err
    assert not launched


@pytest.mark.parametrize(("states", "code"), [(["ok", "absent"], 0), (["ok", "FAIL"], 1)])
def test_doctor_fails_where_a_row_does(states, code, monkeypatch, capsys):
    rows = [doctor.Row(f"part {k}", state, "detail") for k, state in enumerate(states)]
    monkeypatch.setattr(doctor, "examine", lambda: iter(rows))
    assert command.main(["doctor"]) == code
    output = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert output == [["part", str(k), state, "detail"] for k, state in enumerate(states)]


def test_an_unknown_subcommand_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        command.main(["repot"])
    assert "invalid choice: 'repot'" in capsys.readouterr().err
