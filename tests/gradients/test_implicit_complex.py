"""Implicit differentiation of complex unknowns in complex parameters."""

import jax
import jax.numpy as jnp
import numpy as np

import unrolljax as uj

RANDOM = np.random.default_rng(1)
STOP = uj.Stop(max_steps=2000, tol=1e-13)
BOTH = [uj.Implicit(tol=1e-12), uj.Implicit(tol=1e-12, ad="both")]


def test_complex_unknowns_and_parameters():
    """A non-holomorphic map, against differences of the solution in real coordinates."""

    def fixed(theta, x):
        return 0.3 * jnp.conj(x) * theta + (0.2 * jnp.sin(jnp.abs(x))).astype(complex) + theta

    def value(theta, mode):
        x = uj.solve(
            uj.FixedPoint(fixed), theta, jnp.zeros(2, complex), gradient=mode, stop=STOP
        ).value
        return jnp.sum(jnp.real(x) ** 2 - jnp.imag(x) * jnp.real(x))

    theta = jnp.asarray([0.4 + 0.2j, -0.3 + 0.5j])
    h = 1e-5
    for mode in (*BOTH, uj.Unroll(), uj.Truncated(tol=1e-9), uj.Neumann(300)):
        gradient = jax.grad(value)(theta, mode)
        for k in range(2):
            for unit, found in ((1.0, gradient[k].real), (1j, -gradient[k].imag)):
                step = h * unit * jnp.eye(2, dtype=complex)[k]
                up, down = value(theta + step, uj.Detach()), value(theta - step, uj.Detach())
                np.testing.assert_allclose(found, (up - down) / (2 * h), rtol=1e-7)


def test_complex_descent_finds_the_minimum():
    matrix = jnp.asarray(RANDOM.normal(size=(6, 3)) + 1j * RANDOM.normal(size=(6, 3)))
    data = jnp.asarray(RANDOM.normal(size=6) + 1j * RANDOM.normal(size=6))
    problem = uj.Objective(lambda d, x: jnp.sum(jnp.abs(matrix @ x - d) ** 2), data)
    start = jnp.zeros(3, complex)
    stop = uj.Stop(5000, 1e-13)

    def loss(data, mode):
        problem = uj.Objective(lambda d, x: jnp.sum(jnp.abs(matrix @ x - d) ** 2), data)
        x = uj.solve(uj.GradientDescent(0.02), problem, start, gradient=mode, stop=stop).value
        return jnp.sum(jnp.abs(x - 1) ** 2)

    exact = jnp.linalg.lstsq(matrix, data)[0]
    solution = uj.solve(uj.GradientDescent(0.02), problem, start, stop=stop)
    np.testing.assert_allclose(solution.value, exact, atol=1e-10)
    expected = jax.grad(lambda d: jnp.sum(jnp.abs(jnp.linalg.pinv(matrix) @ d - 1) ** 2))(data)
    for mode in BOTH:
        np.testing.assert_allclose(jax.grad(loss)(data, mode), expected, atol=1e-9)
