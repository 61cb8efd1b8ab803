"""Denoisers: callables `denoiser(x, sigma)` of one image, pytrees."""
