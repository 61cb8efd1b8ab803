"""The experiment: what is learned, what is minimised, what is reported."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import unrolljax as uj
from experiments.pnp_admm import figure, modes
from experiments.pnp_admm.task import Task, camera, crops, sample
from unrolljax import lab
from unrolljax.imaging.denoisers import Equivariant
from unrolljax.imaging.denoisers.pretrained import pretrained
from unrolljax.imaging.scores import scores
from unrolljax.imaging.training import Equilibrium, Measured, Restorer

if TYPE_CHECKING:
    from experiments.pnp_admm.__main__ import Config


def build(config: "Config") -> lab.Experiment:
    """The loss is the mean squared error of restored crops in dB: minus their PSNR.

    To the error a penalty is added where the denoiser stretches, so that fixed points are found.
    """
    task = Task.of_photographs(config.tiles, config.psf_width, config.noise, config.seed)
    start = Restorer.start(config.solver.build(), Equivariant(pretrained(), views=2))
    stop, key = config.stop.build(), jax.random.key(config.seed)
    error = Equilibrium(config.gradient.build(), stop, config.penalty)
    held_out = task.measured(crops(camera(), config.size, config.batch), key)

    def loss(restorer: Restorer, task: Task, batch: Measured, carry: None) -> lab.Outcome:
        del carry
        found = error(restorer, task, batch)
        return lab.Outcome(10 * jnp.mean(jnp.log10(found.error)), found.status)

    def finish(restorer: Restorer, folder: Path) -> dict[str, Any]:
        comparison = modes.Comparison(
            task, start, stop, held_out, config.optimizer.build(),
            config.penalty, config.batch, config.size,
        )  # fmt: skip
        courses = {
            name: comparison.course(mode.build(), config.compare_steps, config.records)
            for name, mode in config.compare.items()
        }
        truth = camera()
        data = task.measure(truth, jax.random.fold_in(key, 1))
        restored = {
            name: eqx.filter_jit(one)(data, gradient=uj.Detach(), stop=stop)
            for name, one in (("plug-and-play", start), ("trained", restorer))
        }
        images = {"measured": data.y} | {name: found.value for name, found in restored.items()}
        by_method = {name: scores(image, truth) for name, image in images.items()}
        pictures = {n: np.asarray(v, float)[..., 0] for n, v in {"truth": truth, **images}.items()}
        figure.draw(folder / "figure.png", pictures, by_method, courses)
        return {
            **by_method,
            "status": {name: uj.Status(int(found.status)).name for name, found in restored.items()},
            "modes": {
                name: course.described(config.compare_steps) for name, course in courses.items()
            },
        }

    return lab.Experiment(
        parameters=start,
        data=task,
        sample=lambda task, key: sample(task, key, config.batch, config.size),
        loss=loss,
        held_out=held_out,
        finish=finish,
    )
