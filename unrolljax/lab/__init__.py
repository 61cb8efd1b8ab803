"""Running experiments: configuration, outer loop, checkpoints, devices, reports."""

from unrolljax.lab.experiment import Experiment, Outcome
from unrolljax.lab.main import main
from unrolljax.lab.schema import Config, Section
from unrolljax.lab.targets import Target

__all__ = ["Config", "Experiment", "Outcome", "Section", "Target", "main"]
