"""Compressed sensing of the Hubble deep field: `python -m experiments.compressed_sensing`."""
