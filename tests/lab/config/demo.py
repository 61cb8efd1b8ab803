"""The configuration of a small experiment, and what validation says of it."""

from pathlib import Path

from pydantic import Field, model_validator

import unrolljax as uj
from unrolljax.lab.config.compose import Composer
from unrolljax.lab.config.schema import Config, Section
from unrolljax.lab.config.targets import Target
from unrolljax.lab.config.validate import ConfigError, validate

FILES = {
    "lab.yaml": "seed: 0\ntrain:\n  steps: 10\n  keep: 3\n",
    "demo.yaml": """
defaults:
  - lab
  - gradient: implicit
  - optimizer: adam
  - preset: full
  - optional preset/demo: ${preset}
  - _self_
size: 8
half: ${size}
scales: [1, 2.5]
stop:
  _target_: unrolljax.Stop
  max_steps: 20
hydra:
  run:
    dir: runs/${now:%Y}
""",
    "gradient/implicit.yaml": "_target_: unrolljax.Implicit\ntol: 1e-6\n",
    "gradient/unroll.yaml": "_target_: unrolljax.Unroll\n",
    "gradient/truncated.yaml": "_target_: unrolljax.Truncated\ndepth: 4\n",
    "optimizer/adam.yaml": "_target_: optax.adam\nlearning_rate: 1.0e-3\n",
    "solver/descent.yaml": "_target_: unrolljax.GradientDescent\nstep_size: 0.1\n",
    "preset/full.yaml": "# @package _global_\n",
    "preset/quick.yaml": "# @package _global_\nseed: 7\n",
    "preset/demo/quick.yaml": "# @package _global_\ntrain:\n  steps: 2\n",
}


class Demo(Config):
    size: int
    half: float
    scales: tuple[float, ...]
    stop: Target[uj.Stop]
    modes: dict[str, Target[uj.GradientMode]] = Field(default_factory=dict)


class Options(Section):
    kind: str = "plain"


class Wide(Demo):
    options: Options = Options()
    depth: int | float = 1

    @model_validator(mode="after")
    def _fits(self):
        if self.depth > self.size:
            raise ValueError("depth must not be above size")
        return self


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)


def write_all(folder: Path) -> Path:
    """A folder with all files."""
    for name, text in FILES.items():
        write(folder, name, text)
    return folder


def problems(source: Path | Composer, *overrides: str, model=Demo) -> list[str]:
    """The lines of the report, without the first."""
    composer = source if isinstance(source, Composer) else Composer(source, "demo")
    try:
        validate(model, composer.compose(list(overrides)))
    except ConfigError as error:
        head, *lines = str(error).splitlines()
        plural = "" if len(lines) == 1 else "s"
        assert head == f"{len(lines)} problem{plural} in the configuration of demo:"
        return [line.removeprefix("  ") for line in lines]
    return []


def only(source: Path | Composer, *overrides: str, model=Demo) -> str:
    (line,) = problems(source, *overrides, model=model)
    return line
