import jax
import jax.numpy as jnp
import numpy as np

from unrolljax.solvers.real_vector import closed_constant, to_vector


def test_a_mixed_pytree_goes_to_real_numbers_and_back():
    x = {"z": jnp.array([1.0 + 2.0j, 3.0j]), "s": jnp.array([[4.0]])}
    vector, back = to_vector(x)
    assert vector.dtype == jnp.float64
    np.testing.assert_allclose(jnp.sort(vector), [0.0, 1.0, 2.0, 3.0, 4.0])
    jax.tree.map(np.testing.assert_array_equal, back(vector), x)


def test_a_closure_loses_its_derivative_but_arguments_keep_theirs():
    def product(a, b):
        return closed_constant(lambda u: a * u, b)(b)

    assert jax.grad(product, argnums=(0, 1))(2.0, 3.0) == (0.0, 2.0)
