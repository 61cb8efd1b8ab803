"""Faults that a run must survive: kills, damaged checkpoints, a full disk, torn files, signals."""
