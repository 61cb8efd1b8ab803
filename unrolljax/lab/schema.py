"""The keys that every experiment's configuration has; an experiment's `Config` adds its own."""

from typing import Literal

import optax
from pydantic import BaseModel, ConfigDict, Field

from unrolljax.gradients.mode import GradientMode
from unrolljax.lab.targets import Target


class Section(BaseModel):
    """A group of keys: unknown ones are errors, numbers are numbers, and nothing changes later.

    `1` is a float, `1.5` is no int, `yes` on the command line is no bool and "1" is no number.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Train(Section):
    """How long the outer loop runs, and what it does on its way."""

    steps: int = Field(ge=1)  # outer steps: updates of the parameters
    accumulate: int = Field(1, ge=1)  # parts of a batch, differentiated one after the other
    evaluate_every: int = Field(0, ge=0)  # steps between two evaluations; 0 for the end only
    checkpoint_every: int = Field(50, ge=1)  # steps between two checkpoints
    keep: int = Field(3, ge=1)  # checkpoints that stay on disk
    patience: int | None = Field(None, ge=1)  # evaluations without progress before stopping early
    monitor: str = "loss"  # the metric that `patience` watches; smaller is better
    max_failed: float = Field(0.0, ge=0, le=1)  # share of a step's solves that may fail


class Config(Section):
    """What the lab reads; subclass it for the keys of an experiment."""

    seed: int = Field(0, ge=0)  # of every random number
    precision: Literal["float32", "float64"] = "float32"  # of every array
    platform: Literal["cpu", "gpu", "tpu"] | None = None  # null lets JAX choose
    devices: int | None = Field(None, ge=1)  # how many to use; null for all
    compile_cache: str | None = ".jax_cache/runs"  # folder of compiled programs; null for none
    tensorboard: bool = False  # write the metrics for TensorBoard too
    gradient: Target[GradientMode]  # how the derivative of a solve is computed
    optimizer: Target[optax.GradientTransformation]  # of the outer loop
    train: Train
