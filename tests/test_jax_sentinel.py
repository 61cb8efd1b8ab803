"""The jax release in use computes the case that jax 0.10.2 gets silently wrong on the CPU."""

import importlib.metadata
import tomllib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from packaging.requirements import Requirement


def test_batched_matrix_vector_squares_are_right():
    """jax-ml/jax#39103: at n = 35,560 more than half of the rows came out wrong."""
    random = np.random.default_rng(0)
    n = 35_560
    matrix = random.normal(size=(8, 8)).astype(np.float32)
    rows = random.normal(size=(n, 8)).astype(np.float32)
    found = jax.jit(jax.vmap(lambda d: jnp.sum((jnp.asarray(matrix) @ d) ** 2)))(jnp.asarray(rows))
    expected = ((rows.astype(float) @ matrix.T.astype(float)) ** 2).sum(1)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_wrong_releases_are_refused():
    """The requirement excludes every release known to be wrong, and the installed one is not."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    requirement = next(r for r in map(Requirement, project["dependencies"]) if r.name == "jax")
    for bad in ("0.10.2", "0.11.0", "0.11.1", "0.8.3"):
        assert not requirement.specifier.contains(bad)
    assert requirement.specifier.contains(importlib.metadata.version("jax"))
