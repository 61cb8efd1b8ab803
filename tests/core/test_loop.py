"""The loop: statuses, diagnostics, batches, checkpoints, memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unrolljax as uj
from unrolljax.core.loop import segment_length

DRIVERS = {"while": uj.Detach(), "scan": uj.Unroll()}


def contraction(theta, x):
    return 0.5 * jnp.cos(x) + theta


def solve(function, theta, mode, x0=0.0, **stop):
    stop = {"max_steps": 60, "tol": 1e-12} | stop
    return uj.solve(
        uj.FixedPoint(function), jnp.asarray(theta), jnp.asarray(x0), gradient=mode,
        stop=uj.Stop(**stop),
    )  # fmt: skip


@pytest.fixture(params=list(DRIVERS))
def mode(request):
    return DRIVERS[request.param]


def test_converges_and_reports(mode):
    solution = solve(contraction, 0.3, mode, trace_every=1)
    assert int(solution.status) == uj.Status.CONVERGED
    np.testing.assert_allclose(solution.value, 0.5 * np.cos(solution.value) + 0.3, atol=1e-12)
    steps = int(solution.steps)
    assert 5 < steps < 60
    assert np.all(np.isfinite(solution.info.trace[:steps]))
    assert np.all(np.isnan(solution.info.trace[steps:]))
    assert float(solution.residual) == float(solution.info.trace[steps - 1])
    rate = 0.5 * np.sin(solution.value)
    np.testing.assert_allclose(solution.info.rate, abs(rate), rtol=0.2)


def test_both_drivers_take_the_same_steps():
    a, b = (solve(contraction, 0.3, m) for m in DRIVERS.values())
    assert int(a.steps) == int(b.steps)
    assert float(a.value) == float(b.value)


@pytest.mark.parametrize("max_steps", [1, 2, 12, 13, 14, 40])
def test_without_a_test_the_last_steps_tell_what_all_would(mode, max_steps):
    last, every = (
        solve(contraction, 0.3, mode, max_steps=max_steps, tol=None, trace_every=k).info
        for k in (0, 1)
    )
    assert int(last.status) == int(every.status) == uj.Status.COMPLETED
    assert int(last.steps) == max_steps
    assert float(last.residual) == float(every.residual)
    assert float(last.first_residual) == float(every.first_residual)
    np.testing.assert_allclose(last.rate, every.rate, rtol=1e-3)


def test_max_steps(mode):
    solution = solve(contraction, 0.3, mode, max_steps=3)
    assert int(solution.status) == uj.Status.MAX_STEPS
    assert int(solution.steps) == 3
    with pytest.raises(uj.SolveFailed, match=r"Stop\(max_steps"):
        solution.raise_if_failed()


def test_divergence(mode):
    solution = solve(lambda t, x: 3 * x + t, 1.0, mode)
    assert int(solution.status) == uj.Status.DIVERGED
    slow = solve(lambda t, x: 1.1 * x + t, 1.0, mode)
    assert int(slow.status) == uj.Status.DIVERGED
    with pytest.raises(uj.SolveFailed, match="step_size"):
        solution.raise_if_failed()


def test_non_finite(mode):
    solution = solve(lambda t, x: jnp.log(x - t), 1.0, mode, x0=0.5)
    assert int(solution.status) == uj.Status.NONFINITE
    assert int(solution.steps) == 1
    with pytest.raises(uj.SolveFailed, match="non-finite"):
        solution.raise_if_failed()


def test_without_a_tolerance_all_steps_run(mode):
    solution = solve(contraction, 0.3, mode, tol=None, max_steps=7)
    assert int(solution.status) == uj.Status.COMPLETED
    assert int(solution.steps) == 7
    assert solution.raise_if_failed() is solution
    broken = solve(lambda t, x: x / 0 * t, 0.3, mode, tol=None, max_steps=7)
    assert int(broken.status) == uj.Status.NONFINITE


def test_trace_every_third(mode):
    every = solve(contraction, 0.3, mode, trace_every=1, tol=None, max_steps=10).info.trace
    third = solve(contraction, 0.3, mode, trace_every=3, tol=None, max_steps=10).info.trace
    np.testing.assert_array_equal(third, every[2::3])


def test_a_failing_element_of_a_batch_poisons_only_itself(mode):
    def batch(thetas):
        return jax.vmap(lambda t: solve(lambda t, x: t * x + 1.0, t, mode, max_steps=100))(thetas)

    solution = batch(jnp.asarray([0.2, 3.0, jnp.nan, 0.5]))
    codes = [int(c) for c in solution.status]
    s = uj.Status
    assert codes == [s.CONVERGED, s.DIVERGED, s.NONFINITE, s.CONVERGED]
    np.testing.assert_allclose(solution.value[jnp.asarray([0, 3])], [1.25, 2], rtol=1e-11)
    with pytest.raises(uj.SolveFailed, match="1 of 4"):
        solution.raise_if_failed()


@pytest.mark.parametrize("checkpoint", [None, "sqrt", "all", 1, 7, 50, 1000])
@pytest.mark.parametrize("tol", [None, 1e-12])
def test_checkpoints_change_no_number(checkpoint, tol):
    def loss(theta, mode):
        return solve(contraction, theta, mode, tol=tol, max_steps=50).value

    plain = jax.value_and_grad(loss)(0.3, uj.Unroll())
    again = jax.value_and_grad(loss)(0.3, uj.Unroll(checkpoint))
    np.testing.assert_allclose(again, plain, rtol=1e-14)


def test_segment_lengths():
    assert segment_length(100, None) is None
    assert segment_length(100, "all") == 1
    assert segment_length(100, "sqrt") == 10
    assert segment_length(100, 30) == 30
    assert segment_length(20, 30) == 20


def temporary_bytes(mode, max_steps, tol=1e-6):
    def loss(w, x0):
        solution = uj.solve(
            uj.FixedPoint(lambda w, x: jnp.tanh(w @ x) + 1.0), w, x0, gradient=mode,
            stop=uj.Stop(max_steps, tol),
        )  # fmt: skip
        return jnp.sum(solution.value)

    args = (0.5 * jnp.eye(100), jnp.zeros(100))
    compiled = jax.jit(jax.grad(loss)).lower(*args).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def test_implicit_memory_does_not_grow_with_max_steps():
    for mode in (uj.Implicit(), uj.Implicit(ad="both"), uj.Truncated(), uj.OneStep()):
        assert temporary_bytes(mode, 10_000) <= 1.05 * temporary_bytes(mode, 100)


def test_sqrt_checkpointing_grows_like_the_root():
    small, large = (temporary_bytes(uj.Unroll("sqrt"), n) for n in (100, 10_000))
    assert large <= 1.2 * 10 * small
    assert temporary_bytes(uj.Unroll(), 10_000) > 5 * large
