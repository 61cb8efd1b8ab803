"""One thread for small factorisations.

The threads of OpenBLAS wait for each other in a spin: where other work holds the cores, the
Cholesky decomposition of a matrix of 256 rows was measured to take 260 ms instead of 0.6.
"""

import functools
from contextlib import AbstractContextManager
from typing import Any


def one_blas_thread() -> AbstractContextManager:
    """Run LAPACK with one thread from here on, or in a `with` block only."""
    return _controller().limit(limits=1, user_api="blas")


@functools.cache
def _controller() -> Any:
    # The copy of OpenBLAS that JAX calls is loaded with scipy.linalg, and by JAX itself only at
    # the first factorisation: too late for a controller made before.
    import scipy.linalg  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
