"""The doctor finds nothing wrong here, and does find what is wrong."""

import importlib.metadata

import pytest

from unrolljax.lab.cli import doctor, sentinel


def test_everything_works_here():
    rows = {row.name: row for row in doctor.examine()}
    assert [row for row in rows.values() if row.state == "FAIL"] == []
    assert rows["8 devices"].state == rows["2 processes"].state == "ok"
    assert rows["jax"].detail == importlib.metadata.version("jax")


@pytest.mark.parametrize("release", sentinel.WRONG_RELEASES)
def test_a_wrong_release_of_jax_fails(monkeypatch, release):
    monkeypatch.setattr(importlib.metadata, "version", lambda _: release)
    assert doctor.version("numpy") == release
    with pytest.raises(ValueError, match=rf"{release} is known to be wrong"):
        doctor.version("jax")


def test_wrong_numbers_fail(monkeypatch):
    monkeypatch.setattr(sentinel, "batched_squares_error", lambda: 0.9)
    with pytest.raises(ArithmeticError, match="computes wrong numbers"):
        doctor.jax_sentinel()


def test_an_absent_package_says_what_installs_it():
    row = doctor._row("part", lambda: doctor.optional("no-such-package", "extra"))
    assert row == ("part", "absent", "pip install 'unrolljax[extra]'")


def test_an_error_is_a_failed_row():
    row = doctor._row("part", lambda: str(1 // 0))
    assert (row.state, row.detail) == (
        "FAIL",
        "ZeroDivisionError: integer division or modulo by zero",
    )


def test_a_process_that_fails_says_why():
    with pytest.raises(RuntimeError, match=r"exit status 1: .*nowhere"):
        doctor._run_together({"JAX_PLATFORMS": "nowhere"})


def test_srun_without_slurm_is_absent(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(doctor.Absent, match="no srun"):
        doctor.slurm()
    srun = tmp_path / "srun"
    srun.write_text("#!/bin/sh\necho error >&2\necho no configuration >&2\nexit 1\n")
    srun.chmod(0o755)
    with pytest.raises(doctor.Absent, match="srun is here, but: no configuration"):
        doctor.slurm()
