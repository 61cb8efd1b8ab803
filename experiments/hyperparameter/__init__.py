"""Elastic-net and feature weights by hypergradients: `python -m experiments.hyperparameter`."""
