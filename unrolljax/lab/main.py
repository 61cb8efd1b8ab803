"""The command line of an experiment: validate first, then let Hydra run, sweep or launch."""

import dataclasses
import hashlib
import importlib
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from unrolljax.lab import distributed
from unrolljax.lab.config import validate
from unrolljax.lab.config.compose import Composer
from unrolljax.lab.config.schema import Config
from unrolljax.lab.ends import Ended, Interrupted
from unrolljax.lab.experiment import Experiment

log = logging.getLogger(__name__)

QUESTIONS = {"--help", "-h", "--hydra-help", "--version", "--cfg", "-c", "--info", "-i"}
"""Flags of Hydra that run nothing."""


def main(config: type[Config], build: Callable[[Any], Experiment]) -> None:
    """Run the experiment of the calling module as the command line says.

    The module is `experiments.NAME` (or the `__main__` of such a package) and its configuration
    `configs/NAME.yaml`, in the folder where the package lies. Exits with 2 where the configuration
    is wrong, with 1 where the run failed, and with 128 plus the signal's number after a signal.
    """
    module = sys.modules["__main__"].__spec__
    if module is None:
        raise SystemExit(
            f"Run {build.__module__} with `python -m`, from the folder of its package."
        )
    launch(module.name, config, sys.argv[1:])


def launch(module: str, config: type[Config], arguments: list[str]) -> None:
    """Validate the arguments for an experiment, and hand them to Hydra."""
    job = Job(module)
    if not QUESTIONS & set(arguments):
        try:
            arguments = _validate(job, config, arguments)
        except ValueError as error:
            print(error, file=sys.stderr)
            raise SystemExit(2) from None
    sys.argv[1:] = [*arguments, f"hydra.job.name={job.name}"]
    hydra.main(version_base=None, config_path=str(job.configs), config_name=job.name)(job)()


def _validate(job: "Job", config: type[Config], arguments: list[str]) -> list[str]:
    """The arguments as Hydra takes them: flags first, keys that only the schema knows forced."""
    flags = [argument for argument in arguments if argument.startswith("-")]
    overrides = [argument for argument in arguments if argument not in flags]
    check = validate.check_sweep if {"-m", "--multirun"} & set(flags) else validate.load
    check(config, job.configs, job.name, overrides)
    # Ranks that Slurm starts agree on a run folder by themselves; others have to be told.
    by_hand = distributed.find_rank(os.environ) and "SLURM_JOB_ID" not in os.environ
    if by_hand and not any(text.startswith("hydra.run.dir=") for text in overrides):
        raise ValueError("Several processes need one run folder: add hydra.run.dir=FOLDER.")
    return [*flags, *Composer(job.configs, job.name).forced(overrides)]


@dataclasses.dataclass(frozen=True)
class Job:
    """What Hydra calls for every run: an experiment, by the name of its module.

    It can be pickled wherever the experiment can be imported, which is how it gets to a cluster.
    """

    module: str

    def __call__(self, resolved: DictConfig) -> None:
        """Run in Hydra's output folder, and exit with the code that belongs to the end."""
        # Whatever computes is imported here, so that a wrong configuration is told at once.
        from unrolljax.lab.folder import RunFolder
        from unrolljax.lab.run import run

        rank = distributed.find_rank(os.environ)
        if rank is not None and rank.index > 0:
            logging.getLogger().setLevel(logging.WARNING)
        experiment = importlib.import_module(self.module)
        chosen = HydraConfig.get()
        path = Path(chosen.runtime.output_dir)
        overrides = [text.removeprefix("++") for text in chosen.overrides.task]
        try:
            content: Any = OmegaConf.to_container(resolved, resolve=True)
            config = validate.resolved(experiment.Config, self.name, content)
            folder = RunFolder(path, config, self.module, overrides)
            run(folder, config, experiment.build)
        except Interrupted as error:
            log.error("%s Continue with: unrolljax resume %s", error, path)
            error.hand_on()
            raise SystemExit(error.code) from None
        except Exception as error:
            _end(error)

    @property
    def name(self) -> str:
        """The name of the experiment, and of its configuration."""
        return self.module.removesuffix(".__main__").split(".")[-1]

    @property
    def configs(self) -> Path:
        """The folder `configs` beside the package of the experiment."""
        package = importlib.import_module(self.module.split(".")[0])
        return Path(package.__path__[0]).parent / "configs"


def _end(error: Exception) -> NoReturn:
    """Say why a run ends, and end the process; in a sweep, go on with the other runs."""
    log.error("%s", error, exc_info=not isinstance(error, Ended | ValueError | OSError))
    agreed = isinstance(error, Ended | validate.ConfigError)
    if not agreed:
        # This rank alone fails: waiting for the others, as an ordinary end does, never ends.
        distributed.leave(1)
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        raise error
    code = error.code if isinstance(error, Ended) else 2 if agreed else 1
    raise SystemExit(code)


def stamp() -> str:
    """What tells the runs of an experiment apart: the time, or what Slurm keeps in a requeue.

    All ranks of a run agree on the latter: job, step, and a hash of the command line.
    """
    job, step = (os.environ.get(name) for name in ("SLURM_JOB_ID", "SLURM_STEP_ID"))
    if job is None:
        return time.strftime("%Y-%m-%d_%H-%M-%S")
    command = hashlib.sha256(" ".join(sys.argv[1:]).encode()).hexdigest()[:6]
    return f"slurm-{job}{'.' + step if step else ''}-{command}"


OmegaConf.register_new_resolver("stamp", stamp, use_cache=True, replace=True)
