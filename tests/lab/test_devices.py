"""One device, eight, and back: the same problems, the same training."""

import os
import re

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from benchmarks.faults import runs as commands
from unrolljax.lab import devices, metrics

FLAGS = os.environ.get("XLA_FLAGS", "")
EIGHT = {"XLA_FLAGS": f"{FLAGS} --xla_force_host_platform_device_count=8"}
FEW = [*commands.SMALL, "precision=float64", "train.steps=20", "train.evaluate_every=5"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same run on one device, on eight, and begun on eight and finished on one."""
    folder = tmp_path_factory.mktemp("devices")
    every = "train.checkpoint_every=10"
    commands.run(*FEW, every, f"hydra.run.dir={folder / 'one'}")
    commands.run(*FEW, every, f"hydra.run.dir={folder / 'eight'}", environment=EIGHT)
    return folder


def numbers(folder):
    lines = [metrics.flatten(line) for line in metrics.read(folder / "metrics.jsonl")]
    return [sorted(line) for line in lines], [v for line in lines for _, v in sorted(line.items())]


def test_the_number_of_devices_changes_rounding_only(runs):
    names, one = numbers(runs / "one")
    same_names, eight = numbers(runs / "eight")
    assert names == same_names
    np.testing.assert_allclose(one, eight, rtol=1e-9)
    assert commands.result(runs / "eight")["devices"] == 8
    assert commands.result(runs / "eight")["compilations_after_warmup"] == 0


def test_a_checkpoint_of_eight_devices_continues_on_one(runs):
    (runs / "eight" / "result.json").unlink()
    for late in (runs / "eight" / "checkpoints").glob("*20"):
        (late / "manifest.json").unlink()
    again = [*FEW, "train.checkpoint_every=10", f"hydra.run.dir={runs / 'eight'}"]
    output = commands.run(*again)
    assert re.search(r"Resumed from .*00000010", output)
    assert "was not completed" in output
    np.testing.assert_allclose(numbers(runs / "one")[1], numbers(runs / "eight")[1], rtol=1e-9)
    assert commands.result(runs / "eight")["devices"] == 1


def test_problems_that_do_not_divide_are_one_clear_error(tmp_path):
    output = commands.run(
        *FEW, "batch=6", f"hydra.run.dir={tmp_path / 'run'}", environment=EIGHT, expect=1
    )
    assert "6 problems of sample(data, key) do not divide by 8 devices" in output
    assert "Traceback" not in output


def test_a_part_of_the_devices_can_be_chosen():
    assert devices.data_mesh(1).devices.shape == (1,)
    with pytest.raises(ValueError, match="devices=1000: there are only"):
        devices.data_mesh(1000)


def test_values_are_placed_as_they_are():
    mesh = Mesh(np.asarray(jax.devices()[:1]), ("data",))
    tree = {"a": np.arange(6.0).reshape(2, 3), "b": 1.5, "none": None}
    for placed in (devices.replicate(tree, mesh), devices.share({"a": tree["a"]}, mesh)):
        np.testing.assert_array_equal(placed["a"], tree["a"])
    host = devices.to_host(devices.replicate(tree, mesh), mesh)
    host["a"][0, 0] = 7  # a copy that may be written to
    assert host["b"] == 1.5
