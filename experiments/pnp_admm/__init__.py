"""Plug-and-play restoration trained through its solver: `python -m experiments.pnp_admm`."""
