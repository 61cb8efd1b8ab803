"""Train a small DRUNet to remove noise of any strength, on photographs and drawn pictures.

The run folder gets the weights as a file that `unrolljax.imaging.denoisers.pretrained.load` reads.
"""

from pydantic import Field

from unrolljax import lab


class Config(lab.Config):
    """What may be set; configs/denoiser.yaml explains it."""

    widths: list[int] = Field(min_length=1)
    blocks: int = Field(ge=1)
    tiles: int = Field(ge=1)
    drawn: float = Field(ge=0, le=1)
    skies: float = Field(ge=0, le=1)
    patch: int = Field(ge=16, le=128)
    batch: int = Field(ge=1)
    strongest: float = Field(gt=0)


def build(config: Config) -> lab.Experiment:
    """New patches and new noise at every step."""
    # Imported here: a wrong configuration is told before scikit-image has loaded.
    from experiments.denoiser import training

    return training.build(config)


if __name__ == "__main__":
    lab.main(Config, build)
