"""Deblurring of the Hubble deep field by trained iterations: `python -m experiments.deblur`."""
