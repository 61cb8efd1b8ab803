"""The short form of `python -m benchmarks.faults`."""

import pytest

from benchmarks.faults import damage, disk, kills, runs

ARGUMENTS = [*runs.SMALL, "train.checkpoint_every=50"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    runs.run(*ARGUMENTS, f"hydra.run.dir={folder}")
    return folder


def test_kills_at_random_points(whole, tmp_path):
    survived = kills.kill_at_random(tmp_path / "run", whole, ARGUMENTS, kills=2)
    assert survived == kills.Survived(2, 2, 0, True)


def test_a_signal_in_a_sweep(whole, tmp_path):
    survived = kills.terminate_a_sweep(tmp_path / "sweep", [whole], ARGUMENTS)
    assert survived == kills.Survived(1, 1, 0, True)


def test_a_damaged_checkpoint(whole, tmp_path):
    detected = damage.damage_checkpoints(tmp_path, whole, ARGUMENTS, "flipped")
    assert detected.files == detected.named > 5
    assert detected.runs == detected.same


def test_a_torn_line(whole, tmp_path):
    detected = damage.tear_metrics(tmp_path / "run", whole, ARGUMENTS)
    assert detected == damage.Detected(1, 1, 1, 1)


def test_a_full_disk(whole, tmp_path):
    reason = disk.why_not()
    if reason:
        pytest.skip(reason)
    full = disk.fill_the_disk(tmp_path / "disk", whole, ARGUMENTS)
    assert full.exit_code == 1
    assert full.whole_checkpoints > 0
    assert full.differing_lines == 0
    assert full.same_parameters
