"""Penalties of the lasso by hypergradients: `python -m experiments.lasso_path`."""
