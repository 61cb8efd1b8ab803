"""Checkpoints: what goes in comes out, and whatever is broken is named and passed over.

The last tests show why orbax is wrapped.
"""

import json
import logging
import re
import shutil
import socket
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from unrolljax.lab import manifest
from unrolljax.lab.checkpoint import Checkpoints

TREE = {
    "weights": np.arange(12.0).reshape(3, 4),
    "moments": (np.float32([0.1, np.nan]), np.int32(7)),
    "narrow": np.asarray(jnp.asarray([1.5, -0.0], jnp.bfloat16)),
    "nothing": None,
}


def scaled(step):
    return TREE | {"weights": TREE["weights"] * step}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    checkpoints = Checkpoints(folder, keep=3)
    for step in (5, 10):
        checkpoints.save(step, scaled(step), {"stale": step})
    return folder


@pytest.fixture
def copy(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "copy")
    return Checkpoints(tmp_path / "copy", keep=3)


def test_every_bit_comes_back(copy):
    step, tree, extra = copy.restore(TREE)
    assert (step, extra) == (10, {"stale": 10})
    assert manifest.digest(tree) == manifest.digest(scaled(10))
    assert tree["narrow"].dtype == jnp.bfloat16
    assert tree["nothing"] is None


def test_none_is_restored_from_an_empty_folder(tmp_path):
    assert Checkpoints(tmp_path / "none", keep=1).restore(TREE) is None


def test_only_the_last_ones_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (1, 2, 10, 3):
        checkpoints.save(step, TREE, {})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["00000003", "00000010"]


def files(saved):
    return sorted(p.relative_to(saved) for p in (saved / "00000010").rglob("*") if p.is_file())


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


DAMAGES = {"flipped": flip, "truncated": truncate, "removed": lambda path: path.unlink()}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_to_any_file_is_named_and_the_checkpoint_before_is_used(
    saved, tmp_path, caplog, damage
):
    names = files(saved)
    assert len(names) > 5
    for number, name in enumerate(names):
        copy = tmp_path / str(number)
        shutil.copytree(saved, copy)
        DAMAGES[damage](copy / name)
        caplog.clear()
        restored = Checkpoints(copy, keep=3).restore(TREE)
        assert restored.step == 5, name
        assert manifest.digest(restored.tree) == manifest.digest(scaled(5))
        assert str(name) in caplog.text


def test_every_bit_of_the_manifest_counts(saved):
    folder = saved / "00000010"
    text = (folder / manifest.NAME).read_bytes()
    try:
        for place in range(0, 8 * len(text), 37):
            flipped = bytearray(text)
            flipped[place // 8] ^= 1 << place % 8
            (folder / manifest.NAME).write_bytes(flipped)
            with pytest.raises(manifest.Corrupt):
                manifest.read(folder)
    finally:
        (folder / manifest.NAME).write_bytes(text)


def test_an_unfinished_checkpoint_is_passed_over(copy, caplog):
    (copy.folder / "00000020" / "state").mkdir(parents=True)
    assert copy.restore(TREE).step == 10
    assert "was not completed" in caplog.text


def test_all_broken_is_a_fresh_start_that_says_so(copy, caplog):
    for step in (5, 10):
        flip(copy.path(step) / "state" / "_METADATA")
    assert copy.restore(TREE) is None
    passed = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert len(passed) == 2


def test_a_leaf_that_orbax_reads_differently_is_noticed(copy, caplog):
    folder = copy.path(10)
    content = json.loads((folder / manifest.NAME).read_text())
    content["leaves"][0]["sha256"] = "0" * 64
    manifest.write(folder, content["leaves"], content["extra"])
    assert copy.restore(TREE).step == 5
    assert "leaf ['moments'][0] is not what was saved" in caplog.text


def test_another_experiment_is_refused(copy):
    other = TREE | {"weights": np.zeros((3, 5))}
    with pytest.raises(ValueError, match=r"another experiment.*\(3, 4\).*\(3, 5\)"):
        copy.restore(other)


def test_a_failing_save_leaves_nothing_and_keeps_the_last(copy, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(manifest, "write", full)
    with pytest.raises(OSError, match=r"00000015 could not be written.*No space left"):
        copy.save(15, TREE, {})
    assert copy.restore(TREE).step == 10
    assert not copy.path(15).exists()


def test_orbax_alone_restores_a_flipped_bit_without_a_word(tmp_path):
    """The data of an uncompressed array, flipped: no error, another number."""
    value = np.random.default_rng(0).standard_normal(4096)
    noticed = 0
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", {"weights": value})
        checkpointer.wait_until_finished()
        data = max((tmp_path / "state").rglob("*"), key=lambda p: p.is_file() and p.stat().st_size)
        original = data.read_bytes()
        differing = 0
        for place in np.linspace(0.1, 0.9, 9):
            content = bytearray(original)
            content[int(place * len(content))] ^= 1
            data.write_bytes(content)
            try:
                restored = checkpointer.restore(tmp_path / "state")["weights"]
            except Exception:
                noticed += 1
            else:
                differing += not np.array_equal(restored, value)
    assert differing > 0, f"orbax noticed all {noticed}: is the wrapper still needed?"


PREEMPTED = """
import os, signal, sys
import jax, numpy as np, orbax.checkpoint as ocp
address, folder = sys.argv[1:]
if address:
    jax.distributed.initialize(address, 1, 0, coordinator_bind_address=address)
options = ocp.CheckpointManagerOptions(save_interval_steps=1000)
manager = ocp.CheckpointManager(folder, options=options)
manager.save(0, args=ocp.args.StandardSave({"x": np.zeros(3)}))
for step in range(1, 100):
    if step == 3:
        os.kill(os.getpid(), signal.SIGTERM)
    if address:
        import time; time.sleep(0.1)
    manager.save(step, args=ocp.args.StandardSave({"x": np.zeros(3)}))
    if manager.reached_preemption(step):
        break
manager.wait_until_finished()
print("steps", manager.all_steps())
sys.stdout.flush()
os._exit(0)
"""


@pytest.mark.parametrize("distributed", [False, True])
def test_orbax_alone_saves_on_sigterm_only_with_jax_distributed(tmp_path, distributed):
    address = ""
    if distributed:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
    done = subprocess.run(
        [sys.executable, "-c", PREEMPTED, address, str(tmp_path / "run")],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    if distributed:
        steps = re.search(r"steps \[0, (\d+)\]", done.stdout)
        assert steps, done.stdout + done.stderr
        assert 3 <= int(steps.group(1)) < 99
    else:
        assert done.returncode == -15
        saved = [p.name for p in (tmp_path / "run").iterdir() if p.name != "0" and p.name.isdigit()]
        assert saved == []
