"""Outer optimisation: warm starts, peers on the same problem, gradient errors at known spectra."""
