"""The tests of configurations share one made-up experiment of this folder."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from demo import write_all

from unrolljax.lab.config.compose import Composer


@pytest.fixture
def folder(tmp_path):
    """The configuration of the demo, to be changed."""
    return write_all(tmp_path / "configs")


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """The configuration of the demo as it is, read once for each choice of groups."""
    return Composer(write_all(tmp_path_factory.mktemp("demo") / "configs"), "demo")
