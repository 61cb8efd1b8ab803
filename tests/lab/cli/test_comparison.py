"""Runs side by side, from run folders that hold only what a comparison reads."""

import json

import pytest

from unrolljax.lab.cli import comparison

RESULT = {
    "status": "finished",
    "results": {"NMSE dB": -20.0, "blur": {"PSNR": 31.5}},
    "seconds": 12.5,
    "compile_seconds": 3.0,
    "peak_host_mb": 400.0,
    "peak_device_mb": None,
}


@pytest.fixture
def make_run(tmp_path):
    """Make a run folder; `result` None for a run that has not ended."""

    def make(name, seed=0, result=RESULT, steps=3, gradient="unrolljax.Unroll"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "launch.json").write_text(json.dumps({"module": "experiments.x"}))
        config = f"seed: {seed}\ngradient:\n  _target_: {gradient}\ntrain:\n  steps: 3\n"
        (folder / "config.yaml").write_text(config)
        lines = [
            {"step": k, "loss": 1 / k, "status": {"CONVERGED": 2}} for k in range(1, steps + 1)
        ]
        lines.append({"step": steps, "evaluation/loss": 0.5, "evaluation/status": {"CONVERGED": 1}})
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        if result is not None:
            (folder / "result.json").write_text(json.dumps(result))
        return folder

    return make


def test_a_folder_of_a_sweep_stands_for_its_runs_in_their_order(make_run, tmp_path):
    for number in (10, 9, 1):
        make_run(f"sweep/{number}")
    (tmp_path / "sweep" / "1" / "checkpoints").mkdir()
    runs = comparison.find([tmp_path / "sweep", tmp_path / "sweep" / "9"])
    assert [run.path.name for run in runs] == ["1", "9", "10"]


def test_a_path_without_a_run_is_refused(make_run, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(comparison.NoRun, match="empty holds no run"):
        comparison.find([make_run("a"), empty])
    with pytest.raises(comparison.NoRun, match="nowhere is no folder"):
        comparison.find([tmp_path / "nowhere"])


def test_status_tells_how_far_a_run_has_come(make_run):
    failed, torn = make_run("failed", result=None), make_run("torn", result=None, steps=40)
    (failed / "report.md").write_text("# Failed\n\nStep 4 failed.\n")
    with (torn / "metrics.jsonl").open("a") as file:
        file.write('{"step": 41, "lo')
    new = failed.parent / "new"
    new.mkdir()
    (new / "launch.json").write_text("{}")
    runs = comparison.find([make_run("done"), failed, torn, new])
    expected = ["finished", "failed", "unfinished: step 40", "unfinished: step 0"]
    assert [run.status for run in runs] == expected


def test_the_table_names_what_differs_and_nothing_else_of_the_configuration(make_run):
    make_run("s/0", gradient="unrolljax.OneStep")
    runs = comparison.find([make_run("s/1", seed=7), make_run("s/2", seed=7, result=None)])
    text = comparison.compare([*comparison.find([runs[0].path.parent / "0"]), *runs])
    rows = {line[:18].strip(): line[18:].split() for line in text.splitlines()}
    assert rows["seed"] == ["0", "7", "7"]
    assert rows["gradient"] == ["unrolljax.OneStep", "unrolljax.Unroll", "unrolljax.Unroll"]
    assert rows["blur/PSNR"] == ["31.5", "31.5", "-"]
    assert rows["seconds"] == ["12.5", "12.5", "-"]
    assert rows["status"] == ["finished", "finished", "unfinished:", "step", "3"]
    assert "train.steps" not in text
    assert "device MB" not in text


def test_many_runs_are_the_rows_of_the_table(make_run):
    runs = [comparison.load(make_run(f"s/{k}", seed=k)) for k in range(12)]
    head, *rows = comparison.compare(runs).splitlines()
    assert head.split()[:3] == ["run", "status", "seed"]
    assert [row.split()[:3] for row in rows] == [[str(k), "finished", str(k)] for k in range(12)]


def test_labels_are_the_differing_keys_with_names_where_those_do_not_suffice(make_run):
    runs = [comparison.load(make_run(name, seed=seed)) for name, seed in (("a", 1), ("b", 2))]
    assert comparison.labels(runs) == ["seed=1", "seed=2"]
    assert comparison.labels(runs[:1]) == ["a"]
    runs.append(comparison.load(make_run("c", seed=2)))
    assert comparison.labels(runs) == ["a: seed=1", "b: seed=2", "c: seed=2"]


def test_names_are_as_long_as_they_must_be(make_run):
    runs = [comparison.load(make_run(name)) for name in ("s/0", "t/0")]
    assert comparison.names(runs) == ["s/0", "t/0"]
    assert comparison.names(runs[:1]) == ["0"]


@pytest.mark.parametrize("result", [RESULT, None])
def test_the_figure_has_the_curves_of_every_run(make_run, tmp_path, monkeypatch, result):
    drawn = []
    monkeypatch.setattr(comparison.Figure, "savefig", lambda self, path, dpi: drawn.append(self))
    runs = [comparison.load(make_run(f"s/{k}", seed=k, result=result)) for k in range(2)]
    comparison.draw(runs, tmp_path / "figure.png")
    axes = {axis.get_title(): axis for axis in drawn[0].axes}
    curves = axes["loss"].get_lines()
    assert [line.get_label() for line in curves] == ["seed=0", "seed=1"]
    assert curves[0].get_xydata().tolist() == [[1, 1], [2, 1 / 2], [3, 1 / 3]]
    assert axes["evaluation/loss"].get_lines()[0].get_xydata().tolist() == [[3, 0.5]]
    widths = [bar.get_width() for bar in axes["seconds"].patches]
    assert widths == ([12.5, 12.5] if result else [0, 0])
    assert ("host MB" in axes) == bool(result)


def test_the_figure_is_a_picture(make_run, tmp_path):
    comparison.draw([comparison.load(make_run("a"))], tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
