"""Every test runs in float64 with strict promotion; warnings are errors (pyproject.toml)."""

import os
import pathlib

# The tests compile much and compute little: LLVM's optimisations would cost more than they save.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
)
# XLA repeats the list of CPU features for every executable that it loads from the cache.
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import jax
import pytest

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update(
    "jax_compilation_cache_dir", str(pathlib.Path(__file__).parents[1] / ".jax_cache" / "tests")
)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)

MAPS = pathlib.Path("/proc/self/maps")
MOST_MAPS = 20_000
"""Linux lets a process hold 65,530 mappings, and compiled programs take hundreds of them each."""


@pytest.fixture(autouse=True, scope="module")
def _compiled_programs_are_let_go():
    """XLA does not survive a refused mapping: drop what was compiled before it comes to that."""
    yield
    if MAPS.exists() and MAPS.read_bytes().count(b"\n") > MOST_MAPS:
        jax.clear_caches()
