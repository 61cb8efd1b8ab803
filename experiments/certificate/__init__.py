"""Estimated against true errors of hypergradients: `python -m experiments.certificate`."""
