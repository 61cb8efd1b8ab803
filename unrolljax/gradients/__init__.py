"""One file per gradient mode, the adjoint linear solve, and the front door `solve`."""
