"""Calibration: certified problems, coverage of intervals, and speed against peers."""
