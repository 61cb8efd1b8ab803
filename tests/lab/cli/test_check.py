"""The check of an experiment: every mode of the configuration, and the configured one decides."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from unrolljax.gradients.checks.comparison import Comparison, Row
from unrolljax.gradients.checks.differences import Differences
from unrolljax.lab.cli import check, check_figure, command

ROOT = Path(__file__).parents[3]
SMALL = ["rows=8", "columns=12", "layers=4", "batch=4", "held_out=4"]


@pytest.fixture
def check_lista(monkeypatch):
    """Check a small experiments.lista."""
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT))
    return lambda *arguments: command.main(["check", "lista", *SMALL, *arguments])


def test_every_mode_of_the_configuration_is_compared(check_lista, capsys, tmp_path):
    file, figure = tmp_path / "new" / "check.json", tmp_path / "figures" / "check.png"
    assert check_lista("--tol", "1e-6", "--json", str(file), "--figure", str(figure)) == 0
    output = capsys.readouterr().out
    assert output.startswith("mode ")
    assert output.endswith("unroll agrees: tolerance 1e-06\n")
    content = json.loads(file.read_text(), parse_constant=pytest.fail)
    rows = {row["name"]: row for row in content["modes"]}
    files = {path.stem for path in (ROOT / "configs" / "gradient").glob("*.yaml")}
    assert set(rows) == files
    assert next(iter(rows)) == "unroll"
    assert rows["unroll"]["error"] < 1e-6
    assert rows["unroll"]["status"] == "4 COMPLETED"
    assert rows["implicit"]["status"].startswith("refused: Implicit is right only at a solution")
    assert rows["truncated"]["status"].startswith("refused: Truncated(depth=40) is not below")
    # The network is all that the loss depends on: no part of the gradient is direct.
    assert rows["detach"]["error"] == 1
    assert rows["one_step"]["error"] > 0.1
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_an_approximate_gradient_differs(check_lista, capsys):
    arguments = ("gradient=truncated", "gradient.depth=2", "--modes", "unroll")
    assert check_lista(*arguments) == 1
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines]
    assert names == ["mode", "truncated", "unroll", "differences", "truncated"]
    assert lines[-1] == "truncated DIFFERS: tolerance 0.01"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gradient=implicit", "--modes", "detach"], "Implicit is right only at a solution"),
        (["rows=0"], "rows = 0"),
        (["--modes", "unrol"], "--modes: unrol is none of auto, detach, "),
    ],
)
def test_what_cannot_be_checked_is_told(check_lista, capsys, arguments, message):
    assert check_lista(*arguments) == 2
    assert message in capsys.readouterr().err


def test_an_unknown_experiment_is_told(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert command.main(["check", "list"]) == 2
    assert "There is no module experiments.list here." in capsys.readouterr().err


def test_another_mode_replaces_all_of_the_configured_one():
    asked = ["seed=1", "gradient=truncated", "gradient.depth=2", "+gradient.tol=1", "gradients=3"]
    assert check._swap(asked, "unroll") == ["seed=1", "gradients=3", "gradient=unroll"]


ONES = np.ones(2)
FOUND = Differences(1.0, ONES, 1e-8 * ONES, ONES < 0, {"CONVERGED": 9}, "float64")
MODES = (
    Row("implicit", "CONVERGED", 1.0, 1e-7, 1.0, 0.0, 1.5, 3.0, 0.25, (1.0, 1.0)),
    Row("one_step", "CONVERGED", 1.0, np.nan, np.nan, np.nan, 1.5, 3.0, 0.0, (np.nan, 1.0)),
    Row("unroll", "refused: needs 9000 MB, and 1 MB are free"),
)


@pytest.mark.parametrize(("configured", "code"), [("implicit", 0), ("one_step", 1), ("unroll", 2)])
def test_the_configured_mode_decides(configured, code, monkeypatch, capsys):
    checked = check.Checked(Comparison(MODES, FOUND), configured)
    monkeypatch.setattr(check, "check_gradient", lambda *_: checked)
    monkeypatch.chdir(ROOT)
    assert command.main(["check", "lista"]) == code
    printed = capsys.readouterr()
    assert "unroll       refused: needs 9000 MB" in printed.out
    assert ("gradient=unroll is refused: needs 9000 MB" in printed.err) == (code == 2)


def test_at_a_kink_nothing_is_claimed(monkeypatch, capsys):
    row = dataclasses.replace(MODES[0], error=np.nan)
    compared = Comparison((row,), FOUND._replace(kinks=ONES > 0))
    checked = check.Checked(compared, "implicit")
    monkeypatch.setattr(check, "check_gradient", lambda *_: checked)
    monkeypatch.chdir(ROOT)
    assert command.main(["check", "lista"]) == 1
    output = capsys.readouterr().out
    assert "Move theta.\nimplicit NOT COMPARED: tolerance 0.01\n" in output


def test_a_file_that_cannot_be_written_is_a_wrong_request(monkeypatch, capsys, tmp_path):
    checked = check.Checked(Comparison(MODES, FOUND), "implicit")
    monkeypatch.setattr(check, "check_gradient", lambda *_: checked)
    monkeypatch.chdir(ROOT)
    (tmp_path / "file").write_text("")
    for arguments in (["--json", f"{tmp_path}/file/a"], ["--figure", f"{tmp_path}/a.doc"]):
        assert command.main(["check", "lista", *arguments]) == 2
        assert capsys.readouterr().err.startswith("unrolljax: ")


@pytest.mark.parametrize("kinks", [False, True])
def test_the_figure_marks_what_has_no_number(kinks, tmp_path, monkeypatch):
    words, figures = [], []
    plain = check_figure.Figure

    def figure(*args, **kwargs):
        figures.append(plain(*args, **kwargs))
        return figures[-1]

    monkeypatch.setattr(check_figure, "Figure", figure)
    found = FOUND._replace(kinks=np.full(2, kinks))
    compared = Comparison(MODES, found)
    if kinks:
        nan = [dataclasses.replace(row, error=np.nan) for row in MODES]
        compared = Comparison(tuple(nan), found)
    check_figure.draw(compared, "implicit", tmp_path / "check.png")
    for axes in figures[0].axes:
        words.append([text.get_text().strip() for text in axes.texts])
    assert words[0] == ["nan" if kinks else "1e-07", "nan", "refused"]
    assert words[1] == ["3", "3", "refused"]
    assert words[2] == ["0.25", "0", "refused"]
    assert [t.get_text() for t in figures[0].axes[0].get_yticklabels()] == [r.name for r in MODES]
