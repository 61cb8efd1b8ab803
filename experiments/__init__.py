"""Runnable experiments: a problem, a solver, a loss, a figure."""
