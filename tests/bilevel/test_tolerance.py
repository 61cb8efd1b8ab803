"""Schedules of tolerances and step sizes."""

import jax
import jax.numpy as jnp
import numpy as np

from unrolljax import bilevel


def test_schedules():
    steps = jnp.arange(4)
    geometric = jax.vmap(bilevel.Geometric(1.0, 0.1, 0.02))(steps)
    np.testing.assert_allclose(geometric, [1, 0.1, 0.02, 0.02])
    polynomial = jax.vmap(bilevel.Polynomial(0.1, 2.0))(steps)
    np.testing.assert_allclose(polynomial, [0.1, 0.1 / 4, 0.1 / 9, 0.1 / 16])
