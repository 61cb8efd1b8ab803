"""The keys that every experiment's configuration has; an experiment's `Config` adds its own."""

from typing import Literal, Self

import optax
from pydantic import BaseModel, ConfigDict, Field, model_validator

from unrolljax.core.stop import Stop
from unrolljax.gradients.mode import GradientMode
from unrolljax.lab.config.targets import Target


class Section(BaseModel):
    """A group of keys: unknown ones are errors, numbers are numbers, and nothing changes later.

    `1` is a float, `1.5` is no int, `yes` on the command line is no bool and "1" is no number.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Train(Section):
    """How long the outer loop runs, and what it does on its way."""

    steps: int = Field(ge=1)  # outer steps: updates of the parameters
    accumulate: int = Field(default=1, ge=1)  # parts of a batch, one after the other
    evaluate_every: int = Field(default=0, ge=0)  # steps between evaluations; 0: at the end
    checkpoint_every: int = Field(default=50, ge=1)  # steps between two checkpoints
    keep: int = Field(default=3, ge=1)  # checkpoints that stay on disk
    patience: int | None = Field(default=None, ge=1)  # evaluations without a better one
    max_failed: float = Field(default=0.0, ge=0, le=1)  # share of a step's solves that may fail
    max_skipped: int = Field(default=0, ge=0)  # failed steps that are left out

    @model_validator(mode="after")
    def _patience_is_counted(self) -> Self:
        if self.patience is not None and self.evaluate_every == 0:
            raise ValueError("patience counts evaluations, so it needs evaluate_every >= 1")
        return self


class Stopping(Section):
    """When a solve stops: the section that a configuration calls `stop`."""

    max_steps: int = Field(ge=1)
    tol: float = Field(gt=0)

    def build(self) -> Stop:
        """The stopping rule."""
        return Stop(self.max_steps, self.tol)


class Config(Section):
    """What the lab reads; subclass it for the keys of an experiment."""

    seed: int = Field(default=0, ge=0, lt=2**32)  # of all randomness
    precision: Literal["float32", "float64"] = "float32"  # of every array
    platform: Literal["cpu", "gpu", "tpu"] | None = None  # null: the best that is there
    devices: int | None = Field(default=None, ge=1)  # that share a batch; null: all
    compile_cache: str | None = ".jax_cache/runs"  # compiled programs, for the next run; null: none
    tensorboard: bool = False  # also write the metrics for TensorBoard
    gradient: Target[GradientMode]  # how the derivative of a solve is computed
    optimizer: Target[optax.GradientTransformation]  # of the outer loop
    train: Train
