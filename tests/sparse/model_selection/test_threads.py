"""The limit on threads holds for the library that JAX calls, and for the block only."""

from threadpoolctl import threadpool_info

from unrolljax.sparse.model_selection.threads import one_blas_thread


def threads():
    return {
        info["filepath"]: info["num_threads"]
        for info in threadpool_info()
        if info["user_api"] == "blas"
    }


def test_the_limit_holds_in_the_block():
    with one_blas_thread():
        before = threads()
    assert any("scipy" in path for path in before)
    assert set(before.values()) == {1}
