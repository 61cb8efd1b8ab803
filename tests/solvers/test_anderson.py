import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jax.test_util import check_grads

import unrolljax as uj
from unrolljax.core import trees
from unrolljax.solvers.anderson import Anderson

COUPLING = 0.9 * np.linalg.qr(np.random.default_rng(3).normal(size=(8, 8)))[0]


def descend(problem, x):
    return trees.add_scaled(x, -0.01, trees.gradient(problem.objective, x))


def descend_far(problem, x):
    return trees.add_scaled(x, -0.2, trees.gradient(problem.objective, x))


def hyperbolic(shift, x):
    return jnp.tanh(jnp.asarray(COUPLING) @ x + shift)


def test_quadratic_in_half_the_steps_of_plain_iteration(quadratic):
    steps = quadratic.check(Anderson(descend), 400)
    plain = quadratic.check(uj.FixedPoint(descend), 4000, modes=[uj.Implicit()])
    assert steps < plain / 2


def test_unrolled_derivative_where_the_map_overshoots(quadratic):
    overshooting = lambda p, x: trees.add_scaled(x, -0.018, trees.gradient(p.objective, x))  # noqa: E731
    assert quadratic.check(Anderson(overshooting, history=10), 150, modes=[uj.Unroll()]) < 120


def test_batch_in_float32(check_many):
    check_many(Anderson(descend), 400)


def test_complex_unknown(check_complex):
    check_complex(Anderson(descend_far), 60)


def test_hyperbolic_tangent():
    stop = uj.Stop(max_steps=400, tol=1e-12)

    @eqx.filter_jit
    def solve(shift, solver):
        return uj.solve(solver, shift, jnp.zeros(8), stop=stop)

    shift = jnp.linspace(-0.3, 0.5, 8)
    solution = solve(shift, Anderson(hyperbolic))
    assert solution.status == uj.Status.CONVERGED
    plain = solve(shift, uj.FixedPoint(hyperbolic))
    assert int(solution.steps) < int(plain.steps) / 2
    peer = scipy.optimize.root(lambda x: x - hyperbolic(shift, x), np.zeros(8), tol=1e-13)
    np.testing.assert_allclose(solution.value, peer.x, atol=1e-10)
    check_grads(
        lambda s: solve(s, Anderson(hyperbolic)).value,
        (shift,),
        order=1,
        modes=["rev"],
        atol=1e-7,
        eps=1e-4,
        rtol=1e-6,
    )


def test_steps_after_convergence_keep_the_unrolled_derivative():
    def solve(shift, stop, gradient):
        solution = uj.solve(Anderson(hyperbolic), shift, jnp.zeros(8), gradient=gradient, stop=stop)
        return jnp.sum(solution.value**2)

    shift = jnp.linspace(-0.3, 0.5, 8)
    unrolled = jax.grad(solve)(shift, uj.Stop(max_steps=120, tol=None), uj.Unroll())
    exact = jax.grad(solve)(shift, uj.Stop(max_steps=120, tol=1e-12), uj.Implicit())
    np.testing.assert_allclose(unrolled, exact, atol=1e-8)
