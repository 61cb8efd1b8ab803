"""Running experiments: configuration, outer loop, checkpoints, devices, reports."""

from unrolljax.lab.config.schema import Config, Section, Stopping
from unrolljax.lab.config.targets import Target
from unrolljax.lab.experiment import Experiment, Outcome
from unrolljax.lab.main import main

__all__ = ["Config", "Experiment", "Outcome", "Section", "Stopping", "Target", "main"]
