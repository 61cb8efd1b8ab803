"""Accelerated magnetic resonance imaging: `python -m experiments.mri`."""
