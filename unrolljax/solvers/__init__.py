"""General algorithms, one file each; none of them mentions gradients of the solve."""
