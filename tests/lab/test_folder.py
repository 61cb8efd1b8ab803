"""The run folder belongs to one configuration."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from experiments.lista.__main__ import Config
from unrolljax.lab.config.validate import load
from unrolljax.lab.ends import AnotherRun
from unrolljax.lab.folder import RunFolder, read

CONFIGS = Path(__file__).parents[2] / "configs"


def config(*overrides):
    return load(Config, CONFIGS, "lista", list(overrides))


def begun(path, *overrides):
    folder = RunFolder(path, config(*overrides), "experiments.lista", list(overrides))
    folder.begin()
    return folder


def test_it_is_found_again_by_the_same_configuration_elsewhere(tmp_path):
    begun(tmp_path, "seed=1")
    begun(tmp_path, "seed=1", "devices=2", "platform=cpu")
    with pytest.raises(AnotherRun, match=r"another configuration.*unrolljax resume"):
        begun(tmp_path, "seed=2")


def test_the_resolved_configuration_can_be_read_again(tmp_path):
    begun(tmp_path, "gradient=truncated", "gradient.depth=4")
    written = OmegaConf.to_container(OmegaConf.load(tmp_path / "config.yaml"))
    assert written == config("gradient=truncated", "gradient.depth=4").model_dump(mode="json")


def test_there_is_no_result_before_the_end(tmp_path):
    folder = begun(tmp_path)
    assert folder.result is None
    folder.finish({"steps": 3}, "# Report\n")
    assert folder.result == {"steps": 3}
    assert (tmp_path / "report.md").read_text() == "# Report\n"


def test_a_broken_file_is_read_as_none(tmp_path):
    (tmp_path / "x.json").write_text("{")
    assert read(tmp_path / "x.json") is None
    assert read(tmp_path / "y.json") is None
