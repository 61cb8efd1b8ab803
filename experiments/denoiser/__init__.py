"""Training of the denoiser that the package ships: `python -m experiments.denoiser`."""
