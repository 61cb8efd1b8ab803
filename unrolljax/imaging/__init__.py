"""Computational imaging: operators, data terms, priors, denoisers and plug-and-play solvers."""
