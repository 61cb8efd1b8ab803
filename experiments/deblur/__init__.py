"""Learned deblurring of the Hubble deep field: `python -m experiments.deblur gradient=implicit`."""
