"""Every solver of the package under every gradient mode that it supports, against differences."""

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest
import solver_cases

import unrolljax as uj

STOP = uj.Stop(max_steps=1500, tol=1e-13)
DIRECTIONS = np.linalg.qr(np.random.default_rng(3).normal(size=(6, 6)))[0][:2]

MODES = {
    "implicit": uj.Implicit(tol=1e-12),
    "implicit both": uj.Implicit(tol=1e-12, ad="both"),
    "unroll": uj.Unroll(),
    "truncated": uj.Truncated(tol=1e-10),
    "neumann": uj.Neumann(terms=4000),
    "auto": uj.Auto(tol=1e-10),
}

BUILDS = [
    pytest.param(build, case, id=f"{build.name}-{case.name}")
    for solver in solver_cases.every_solver()
    for build in solver_cases.builds(solver)
    for case in build.cases
]


def value(build, case, mode, stop=STOP):
    def of_theta(theta):
        start = jax.tree_util.tree_map(lambda v: jnp.asarray(v, theta.dtype), case.start)
        return uj.solve(build.make(), case.make(theta), start, gradient=mode, stop=stop)

    return of_theta


def central_difference(function, theta, direction, h=2e-3):
    """Sixth-order central difference along a direction."""
    weights = {1: 3 / 4, 2: -3 / 20, 3: 1 / 60}
    return sum(
        w * (function(theta + k * h * direction) - function(theta - k * h * direction)) / h
        for k, w in weights.items()
    )


@pytest.mark.parametrize(("build", "case"), BUILDS)
def test_every_mode_agrees_with_differences(build, case):
    theta = jnp.asarray(problems.THETA)
    solve = jax.jit(value(build, case, uj.Detach()))
    solution = solve(theta)
    assert int(solution.status) == uj.Status.CONVERGED, uj.describe(solution.status)
    expected = [
        central_difference(lambda t: float(problems.loss(solve(t))), theta, jnp.asarray(d))
        for d in DIRECTIONS
    ]
    supported = {"implicit", "implicit both"}
    if build.make().differentiable_step:
        supported |= {"unroll", "truncated", "neumann"}
    if case is build.cases[0]:  # it is made of the others, and costs as much to compile as they do
        supported |= {"auto"}
    modes = {k: m for k, m in MODES.items() if k in supported}

    @jax.jit
    def gradients(theta):
        losses = {
            k: lambda t, m=m: problems.loss(value(build, case, m)(t)) for k, m in modes.items()
        }
        return {k: jax.grad(f)(theta) for k, f in losses.items()}

    scale = max(np.max(np.abs(expected)), 0.1)
    for name, gradient in gradients(theta).items():
        np.testing.assert_allclose(
            DIRECTIONS @ np.asarray(gradient), expected, rtol=0, atol=1e-7 * scale, err_msg=name
        )


@pytest.mark.parametrize("solver", solver_cases.every_solver(), ids=lambda s: s.__name__)
def test_float32_keeps_its_dtype_and_agrees(solver):
    build = solver_cases.builds(solver)[0]
    case = build.cases[0]
    reference = jax.grad(lambda t: problems.loss(value(build, case, MODES["implicit"])(t)))
    single = uj.Stop(max_steps=1500, tol=2e-6)
    modes = {"implicit": uj.Implicit()}
    if build.make().differentiable_step:
        modes["unroll"] = uj.Unroll()
    exact = reference(jnp.asarray(problems.THETA))
    for name, mode in modes.items():
        gradient = jax.jit(
            jax.grad(lambda t, m=mode: problems.loss(value(build, case, m, single)(t)))
        )(jnp.asarray(problems.THETA, jnp.float32))
        assert gradient.dtype == jnp.float32
        difference = np.asarray(gradient, float) - exact
        error = np.linalg.norm(difference) / np.linalg.norm(exact)
        assert error < 1e-3, f"{name}: {error}"
