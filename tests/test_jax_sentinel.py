"""The jax release in use computes the case that jax 0.10.2 gets silently wrong on the CPU."""

import importlib.metadata
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

from unrolljax.lab.cli import sentinel


def test_batched_matrix_vector_squares_are_right():
    """jax-ml/jax#39103: at n = 35,560 more than half of the rows came out wrong."""
    assert sentinel.batched_squares_error() < sentinel.TOLERANCE


def test_wrong_releases_are_refused():
    """The requirement excludes every release known to be wrong, and the installed one is not."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    requirement = next(r for r in map(Requirement, project["dependencies"]) if r.name == "jax")
    for bad in (*sentinel.WRONG_RELEASES, "0.8.3"):
        assert not requirement.specifier.contains(bad)
    assert requirement.specifier.contains(importlib.metadata.version("jax"))
