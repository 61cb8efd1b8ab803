"""Solver, problem, status, stop, and the only loop."""
