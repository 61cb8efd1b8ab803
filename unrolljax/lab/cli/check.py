"""The gradient of an experiment in every mode against finite differences, before training."""

from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, PyTree

from unrolljax.gradients.checks.check import compare
from unrolljax.gradients.checks.comparison import Comparison, Row
from unrolljax.gradients.checks.differences import Evaluation, TightlySolved
from unrolljax.gradients.mode import GradientMode
from unrolljax.lab import devices
from unrolljax.lab.config import validate
from unrolljax.lab.config.compose import Composer
from unrolljax.lab.config.locate import did_you_mean
from unrolljax.lab.config.schema import Config
from unrolljax.lab.config.targets import Target
from unrolljax.lab.main import Job
from unrolljax.lab.outer import Outer

FORCED = ("precision=float64", "compile_cache=null")
"""So that the modes are told apart, and compilations really happen when they are timed."""

TIGHTLY_SOLVED = f"{TightlySolved.__module__}.{TightlySolved.__name__}"


class Checked(NamedTuple):
    """A comparison, and which of its modes is the configured one."""

    comparison: Comparison
    configured: str

    @property
    def row(self) -> Row:
        """The row of the configured mode."""
        return self.comparison[self.configured]


class BatchLoss(eqx.Module):
    """The loss of an experiment on one batch, as a function of what is learned."""

    outer: Outer = eqx.field(static=True)
    data: PyTree[Array]
    batch: PyTree[Array]
    carry: PyTree[Array]

    def __call__(self, learned: PyTree[Array]) -> Evaluation:
        """The loss, and how its solves ended."""
        parameters = self.outer.complete(learned)
        outcome = self.outer.experiment.loss(parameters, self.data, self.batch, self.carry)
        return Evaluation(outcome.loss, outcome.status)


def check_gradient(
    experiment: ModuleType, overrides: Sequence[str], modes: Sequence[str] | None = None
) -> Checked:
    """Compare on the first batch of an experiment, in float64, on one device.

    - `experiment`: its module.
    - `modes`: names of files in `configs/gradient`, all of them by default (`detach` too: its
      gradient is the direct part, which does not go through the solve). The configured mode is
      always compared, with all its overrides; the others are as their files say.

    Raises ConfigError where the overrides do not fit, ValueError for a mode without a file.
    """
    job = Job(experiment.__name__)
    asked = [*overrides, *FORCED]
    config = validate.load(experiment.Config, job.configs, job.name, asked)
    configured, others = _configured(job, asked), _choose(job, modes)
    devices.prepare(config)
    tight = config.model_copy(update={"gradient": Target(TIGHTLY_SOLVED, {}, GradientMode)})
    reference = _first_batch(experiment, tight)

    def losses() -> Iterator[tuple[str, BatchLoss | Exception]]:
        for name in dict.fromkeys([configured, *others]):
            texts = asked if name == configured else _swap(asked, name)
            try:
                swapped = validate.load(experiment.Config, job.configs, job.name, texts)
                yield name, _first_batch(experiment, swapped)
            except (TypeError, ValueError) as error:
                yield name, error

    learned = jax.tree.map(jnp.asarray, reference.outer.learned())
    return Checked(compare(losses(), reference, learned, "implicit", seed=config.seed), configured)


def _first_batch(experiment: ModuleType, config: Config) -> BatchLoss:
    """The loss of the first outer step."""
    mesh = Mesh(np.asarray(jax.local_devices()[:1]), ("data",))
    outer = Outer(experiment.build(config), config.optimizer.build(), mesh, 1, 0.0)
    data = jax.tree.map(jnp.asarray, outer.experiment.data)
    batch = outer.batch(data, jnp.uint32(config.seed), jnp.int32(0))
    return BatchLoss(outer, data, batch, outer.experiment.first_carry(batch))


def _configured(job: Job, overrides: list[str]) -> str:
    """The name of the file that the gradient comes from, or "configured" where it is none."""
    origin = Composer(job.configs, job.name).compose(overrides).origin(("gradient", "_target_"))
    return next((n for n in _files(job) if origin.endswith(f"/gradient/{n}.yaml")), "configured")


def _choose(job: Job, modes: Sequence[str] | None) -> Sequence[str]:
    files = _files(job)
    for name in modes or ():
        if name not in files:
            hint = did_you_mean(name, files)
            raise ValueError(f"--modes: {name} is none of {', '.join(files)}{hint}")
    return files if modes is None else modes


def _files(job: Job) -> list[str]:
    return sorted(path.stem for path in (job.configs / "gradient").glob("*.yaml"))


def _swap(overrides: list[str], gradient: str) -> list[str]:
    """The overrides with another gradient mode, without those that belong to the old one."""
    keys = [text.partition("=")[0].lstrip("+~") for text in overrides]
    kept = [
        text
        for text, key in zip(overrides, keys, strict=True)
        if key != "gradient" and not key.startswith("gradient.")
    ]
    return [*kept, f"gradient={gradient}"]
