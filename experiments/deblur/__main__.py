"""Train a plug-and-play restorer of photon counts on drawn skies, and try it on the real one.

Two are trained at once, from the same denoiser: a fixed point, differentiated by the mode that
`gradient=` names (implicit, truncated, one_step, unroll), and a network of a few unrolled layers.
"""

from pydantic import Field

from unrolljax import lab


class Config(lab.Config):
    """What may be set; configs/deblur.yaml explains it."""

    size: int = Field(ge=32, le=128)
    batch: int = Field(ge=1)
    pictures: int = Field(ge=1)
    psf_width: float = Field(gt=0)
    peak: float = Field(gt=0)
    background: float = Field(gt=0)
    missing: float = Field(ge=0, lt=1)
    strength: float = Field(gt=0)
    trust: float = Field(gt=0)
    stop: lab.Stopping
    penalty: float = Field(ge=0)
    layers: int = Field(ge=1)


def build(config: Config) -> lab.Experiment:
    """New skies and new exposures at every step."""
    # Imported here: a wrong configuration is told before scikit-image has loaded.
    from experiments.deblur import training

    return training.build(config)


if __name__ == "__main__":
    lab.main(Config, build)
