"""Plain lines in a log; a bar with loss and statuses on a terminal."""

import logging
import sys

import pytest

from unrolljax.lab.progress import LINES, Progress


def show(steps, done=0):
    progress = Progress(steps, done)
    for step in range(done + 1, steps + 1):
        progress({"step": step, "loss": 1 / step, "status": {"CONVERGED": 2, "MAX_STEPS": 1}})
    progress({"step": steps, "evaluation/loss": 0.5, "evaluation/status": {"CONVERGED": 2}})
    progress.close()


def test_a_log_gets_a_few_plain_lines(caplog):
    caplog.set_level(logging.INFO)
    show(10 * LINES)
    lines = caplog.messages
    assert len(lines) == LINES + 1
    assert lines[0] == "step 10/200  loss 0.1  CONVERGED 20  MAX_STEPS 10"
    assert lines[-1] == "step 200  held out: loss 0.5"


def test_the_last_step_is_always_shown(caplog):
    caplog.set_level(logging.INFO)
    show(41)
    assert caplog.messages[-2].startswith("step 41/41  loss 0.0243902")


def test_a_terminal_gets_a_bar(monkeypatch, capsys, caplog):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    caplog.set_level(logging.INFO)
    show(5, done=2)
    shown = capsys.readouterr().err
    assert "5/5" in shown
    assert "loss 0.2  CONVERGED 6  MAX_STEPS 3" in shown
    assert [m for m in caplog.messages if "held out" not in m] == []


@pytest.mark.parametrize("done", [0, 3])
def test_it_begins_where_the_run_resumes(caplog, done):
    caplog.set_level(logging.INFO)
    show(5, done)
    assert len([m for m in caplog.messages if "loss" in m]) == 5 - done + 1
