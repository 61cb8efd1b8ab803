"""Restore pictures from a quarter of their frequencies, by a denoiser that is trained for it.

The gradient mode is one word, `gradient=implicit`, `unroll`, `truncated` or `one_step`; so is what
training sees: `supervision=truth`, or `splitting`, which needs measurements only.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

import unrolljax as uj
from unrolljax import lab


class Config(lab.Config):
    """What may be set; configs/mri.yaml explains it."""

    mask: Literal["columns", "random"]
    acceleration: float = Field(ge=1)
    centre: float = Field(ge=0, le=1)
    noise: float = Field(gt=0)
    supervision: Literal["truth", "splitting"]
    share: float = Field(gt=0, lt=1)
    penalty: float = Field(ge=0)
    solver: lab.Target[uj.Solver]
    stop: lab.Stopping
    size: Literal[64, 128, 256]
    tiles: int = Field(ge=1)
    crop: Literal[32, 64, 128]
    batch: int = Field(ge=1)

    @model_validator(mode="after")
    def _the_centre_is_measured(self) -> Self:
        if self.centre * self.acceleration > 1:
            raise ValueError("centre * acceleration must be at most 1: the centre is measured")
        return self


def build(config: Config) -> lab.Experiment:
    """New crops, masks and noise at every step; the loss is that of their restorations."""
    # Imported here: a wrong configuration is told before scikit-image has loaded.
    from experiments.mri import training

    return training.build(config)


if __name__ == "__main__":
    lab.main(Config, build)
