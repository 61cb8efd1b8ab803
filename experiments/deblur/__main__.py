"""Learn the weights of a deblurring prior by differentiating through the solver.

The gradient mode is one word on the command line: `gradient=unroll`, `truncated`, `implicit`.
"""

from pydantic import Field

import unrolljax as uj
from unrolljax import lab


class Config(lab.Config):
    """What may be set; configs/deblur.yaml explains it."""

    size: int = Field(ge=16, le=128)
    scales: int = Field(ge=1, le=4)
    psf_width: float = Field(gt=0)
    missing: float = Field(ge=0, lt=1)
    training_noise: list[float] = Field(min_length=1)
    test_noise: float = Field(gt=0)
    smoothing: float = Field(gt=0)
    initial_weight: float = Field(gt=0)
    solver: lab.Target[uj.Solver]
    stop: lab.Stopping
    compare_tol: float = Field(gt=0)
    compare: dict[str, lab.Target[uj.GradientMode]]


def build(config: Config) -> lab.Experiment:
    """Six training images, restored at every step from where the last step left them."""
    # Imported here: a wrong configuration is told before scikit-image has loaded.
    from experiments.deblur import training

    return training.build(config)


if __name__ == "__main__":
    lab.main(Config, build)
