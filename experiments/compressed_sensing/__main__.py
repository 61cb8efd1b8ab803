"""Restore patches of the Hubble deep field from fewer measurements than pixels.

The gradient mode is one word, `gradient=unroll` or `truncated` with a `depth`; so is the network,
`network=banded`, and what is measured, `measurements=fourier`.
"""

from typing import Literal

from pydantic import Field

from unrolljax import lab

Name = Literal["matrices", "banded", "hybrid", "blended", "alista", "slista", "cp", "cpss"]


class Config(lab.Config):
    """What may be set; configs/compressed_sensing.yaml explains it."""

    measurements: Literal["gaussian", "fourier"]
    ratio: float = Field(gt=0, le=1)
    noise: float = Field(gt=0)
    size: Literal[8, 16, 32]
    wavelet: Literal["haar", "daubechies4"]
    network: Name
    weight: Literal["wiener", "analytic"]
    layers: int = Field(ge=1)
    patches: int = Field(ge=1)
    batch: int = Field(ge=1)


def build(config: Config) -> lab.Experiment:
    """New patches and new noise at every step; the loss is the error of patches in dB."""
    # Imported here: a wrong configuration is told before scikit-image has loaded.
    from experiments.compressed_sensing import training

    return training.build(config)


if __name__ == "__main__":
    lab.main(Config, build)
