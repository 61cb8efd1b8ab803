"""Cost of the gradient modes on four work items, against hand-written JAX, jaxopt, optimistix."""
