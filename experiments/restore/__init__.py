"""Restoration of a picture of one's own: `python -m experiments.restore`."""
