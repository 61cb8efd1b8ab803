import jax
import jax.numpy as jnp
import numpy as np
import pytest

from unrolljax.imaging.denoisers import FFDNet, initialised
from unrolljax.imaging.solvers import PnPADMM
from unrolljax.imaging.training import Restorer
from unrolljax.imaging.training.rates import restorer_adam


@pytest.mark.usefixtures("standard_promotion")
def test_denoiser_and_numbers_move_by_steps_of_their_own_that_fall_to_zero():
    network = initialised(FFDNet(2, 3), jax.random.key(0), dtype=jnp.dtype(float))
    pair = [Restorer.start(PnPADMM(1.0, 0.1), network) for _ in range(2)]
    optimizer = restorer_adam(1e-4, 1e-2, 10)
    state = optimizer.init(pair)
    gradient = jax.tree.map(lambda v: 1e3 * jnp.ones_like(v), pair)
    for k in range(10):
        steps, state = optimizer.update(gradient, state, pair)
        fall = (1 + np.cos(np.pi * k / 10)) / 2
        for restorer in steps:
            for leaf in jax.tree.leaves(restorer.prior):
                np.testing.assert_allclose(leaf, -1e-4 * fall, rtol=1e-3)
            for leaf in jax.tree.leaves((restorer.logs, restorer.log_weight)):
                np.testing.assert_allclose(leaf, -1e-2 * fall, rtol=1e-3)
