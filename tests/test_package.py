"""The package itself: importing it is light and has no side effect; the README runs."""

import os
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
assert before.items() <= dict(jax.config.values).items()
heavy = {"hydra", "orbax", "submitit", "matplotlib", "flax", "jaxopt", "optimistix", "skimage"}
print(sorted(heavy & set(sys.modules)))
"""
    # With a platform that does not exist, initialising a backend would raise.
    nowhere = os.environ | {"JAX_PLATFORMS": "nowhere"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=nowhere, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_the_readme_quick_start_runs_and_prints_what_it_says():
    readme = (ROOT / "README.md").read_text()
    program, output = re.search(
        r"## Quick start.*?```python\n(.*?)```.*?```text\n(.*?)```", readme, re.DOTALL
    ).groups()
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == output.strip()
