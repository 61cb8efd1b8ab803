"""A second call compiles nothing, also outside jit and after a number has changed."""

import contextlib

import jax
import jax.numpy as jnp
import problems
import pytest
import solver_cases

import unrolljax as uj


@contextlib.contextmanager
def count_compilations():
    """A list that grows by one name for every XLA compilation."""
    seen = []

    def listen(event, duration, **_):
        del duration
        if event == "/jax/core/compile/backend_compile_duration":
            seen.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield seen
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


MODES = [
    uj.Implicit(),
    uj.Implicit(ad="both"),
    uj.Unroll(),
    uj.Unroll("sqrt"),
    uj.Truncated(),
    uj.Truncated(depth=5),
    uj.Auto(),
    uj.OneStep(),
    uj.Neumann(5),
    uj.Detach(),
]


def eager_gradient(solver, case, theta, mode, tol):
    def loss(theta):
        solution = uj.solve(
            solver, case.make(theta), case.start, gradient=mode, stop=uj.Stop(50, tol)
        )
        return problems.loss(solution)

    return jax.grad(loss)(theta)


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_un_jitted_gradient_compiles_once(mode):
    solver, case = uj.GradientDescent(0.2), problems.objectives()[0]
    theta, other = jnp.asarray(problems.THETA), jnp.asarray(problems.THETA + 1)
    eager_gradient(solver, case, theta, mode, 1e-6)
    with count_compilations() as seen:
        eager_gradient(solver, case, other, mode, 1e-6)
        eager_gradient(uj.GradientDescent(0.21), case, theta, mode, 1e-7)
    assert not seen


def test_the_counter_counts():
    with count_compilations() as seen:
        jax.jit(lambda x: x * 3.25 + 1.5)(jnp.ones(17))
    assert seen


@pytest.mark.parametrize("solver", solver_cases.every_solver(), ids=lambda s: s.__name__)
def test_every_solver_compiles_once_outside_jit(solver):
    build = solver_cases.builds(solver)[0]
    case, theta = build.cases[0], jnp.asarray(problems.THETA)
    other = jnp.asarray(problems.THETA + 0.1)
    first = build.make()
    eager_gradient(first, case, theta, uj.Implicit(tol=1e-9), 1e-6)
    with count_compilations() as seen:
        eager_gradient(first, case, other, uj.Implicit(tol=1e-8), 1e-7)
        if build.sweep is not None:
            eager_gradient(build.make(0.17), case, theta, uj.Implicit(tol=1e-9), 1e-6)
    assert not seen
