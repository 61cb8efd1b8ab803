"""The package itself: importing it is light and has no side effect; the README runs."""

import os
import re
import shutil
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


def test_the_readme_quick_start_and_its_continuation_print_what_it_says():
    readme = (ROOT / "README.md").read_text()
    parts = [
        re.search(rf"## {title}.*?```python\n(.*?)```.*?```text\n(.*?)```", readme, re.DOTALL)
        for title in ("Quick start", "A gradient with an error bar")
    ]
    program = "".join(part.group(1) for part in parts)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "".join(part.group(2) for part in parts).strip()


def test_the_experiment_of_the_readme_runs(tmp_path):
    readme = (ROOT / "README.md").read_text()
    section = readme.partition("## Experiments")[2]
    program, config = (
        re.search(rf"```{kind}\n(.*?)```", section, re.DOTALL).group(1)
        for kind in ("python", "yaml")
    )
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "ridge.py").write_text(program)
    (tmp_path / "configs" / "ridge.yaml").write_text(config)
    command = [sys.executable, "-m", "experiments.ridge", "gradient=unroll", "train.steps=3"]
    done = subprocess.run(
        [*command, "hydra.run.dir=run"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == 3
    again = subprocess.run(
        [*command, "gradient.tool=1"], cwd=tmp_path, capture_output=True, text=True
    )
    assert again.returncode == 2
    assert "gradient.tool" in again.stderr
