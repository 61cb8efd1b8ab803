"""Train a denoiser and its solver by the images that they restore, in any gradient mode.

`gradient=implicit`, `unroll`, `truncated`, `one_step` is how the run trains; at its end all modes
of `compare` train for a while from the same start, and PSNR is drawn against time and memory. The
solver is one word, too: `solver=pnp_admm`, `half_quadratic`, `pnp_proximal_gradient`.
"""

from pydantic import Field

import unrolljax as uj
from unrolljax import lab


class Config(lab.Config):
    """What may be set; configs/pnp_admm.yaml explains it."""

    size: int = Field(ge=32, le=128)
    batch: int = Field(ge=1)
    tiles: int = Field(ge=1)
    psf_width: float = Field(gt=0)
    noise: float = Field(gt=0)
    solver: lab.Target[uj.Solver]
    stop: lab.Stopping
    penalty: float = Field(ge=0)
    compare: dict[str, lab.Target[uj.GradientMode]]
    compare_steps: int = Field(ge=1)
    records: int = Field(ge=1)


def build(config: Config) -> lab.Experiment:
    """New crops of photographs, blurred with new noise, at every step."""
    # Imported here: a wrong configuration is told before scikit-image has loaded.
    from experiments.pnp_admm import training

    return training.build(config)


if __name__ == "__main__":
    lab.main(Config, build)
