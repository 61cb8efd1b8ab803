"""Learned ISTA on known groups of unknowns: `python -m experiments.group_lista`."""
