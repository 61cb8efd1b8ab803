"""The adjoint system: the theorem, the coordinates in which it is solved, and linear solves."""
