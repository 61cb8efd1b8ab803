"""The tests of the lab import their experiment from this folder."""

import pathlib
import sys

import jax
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from demo import write_all

from unrolljax.lab.compose import Composer


@pytest.fixture(autouse=True)
def _promotion():
    # optax's Adam raises a float to an integer power.
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture
def folder(tmp_path):
    """The configuration of the demo, to be changed."""
    return write_all(tmp_path / "configs")


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    """The configuration of the demo as it is, read once for each choice of groups."""
    return Composer(write_all(tmp_path_factory.mktemp("demo") / "configs"), "demo")
