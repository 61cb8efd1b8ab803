"""One thread for small factorisations."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Run LAPACK with one thread in this block, on whichever backend.

    The threads of OpenBLAS wait for each other in a spin: where other work holds the cores, the
    Cholesky decomposition of a matrix of 256 rows was measured to take 260 ms instead of 0.6.
    """
    with _controller().limit(limits=1, user_api="blas"):
        yield


@functools.cache
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
