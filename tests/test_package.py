"""The package itself: importing it is light and has no side effect; the README runs."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_importing_changes_nothing_and_stays_light():
    program = """
import sys, jax
before = dict(jax.config.values)
import unrolljax
assert dict(jax.config.values) == before
heavy = {"hydra", "orbax", "submitit", "matplotlib", "flax", "jaxopt", "optimistix", "skimage"}
print(sorted(heavy & set(sys.modules)), jax._src.xla_bridge.backends_are_initialized())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[] False", done.stdout


def test_the_readme_quick_start_runs_and_prints_what_it_says():
    readme = (ROOT / "README.md").read_text()
    program, output = re.search(
        r"## Quick start.*?```python\n(.*?)```.*?```text\n(.*?)```", readme, re.DOTALL
    ).groups()
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == output.strip()
