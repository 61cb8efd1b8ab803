import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from unrolljax import Implicit, Status, Stop
from unrolljax.imaging.denoisers.lipschitz import lipschitz_constant
from unrolljax.imaging.solvers import HalfQuadratic, PnPADMM
from unrolljax.imaging.training import EndToEnd, Equilibrium, Restorer, fit

NOISE = 0.05
STOP = Stop(1000, 1e-11)
SGD = optax.sgd(0.5)


@pytest.fixture(scope="module")
def restorer(network):
    """A denoiser that is not averaged, in a solver that still finds its fixed points."""
    stretching = eqx.tree_at(lambda n: n.strength, network, jnp.asarray(1.3))
    return Restorer.start(HalfQuadratic(0.2 * NOISE**2, 0.3), stretching)


@pytest.fixture(scope="module")
def batch(simulate, operator):
    return jax.jit(simulate)(operator, jax.random.key(7))


@eqx.filter_jit
def mean_error(restorer, loss, batch):
    return jnp.mean(loss(restorer, None, batch).error)


def test_it_is_the_squared_error_plus_the_excess_at_the_fixed_point(restorer, batch):
    penalised = Equilibrium(Implicit(), STOP, penalty=0.3, margin=0.1, power_steps=100)
    outcome = eqx.filter_jit(penalised)(restorer, None, batch)
    plain = eqx.filter_jit(EndToEnd(Implicit(), STOP))(restorer, None, batch)
    assert jnp.all(outcome.status == Status.CONVERGED)
    data = jax.tree.map(lambda v: v[1], batch.data)
    point = restorer(data, stop=STOP).value
    norm = lipschitz_constant(restorer.prior, point, 0.3, of="reflection", tol=1e-9).norm
    assert norm > 1.1
    expected = 0.3 * (norm - 1 + 0.1)
    np.testing.assert_allclose(outcome.error[1] - plain.error[1], expected, rtol=1e-6)


def test_its_gradient_is_that_of_finite_differences_with_fixed_points_held(restorer, batch):
    """The penalty's points and strength are held fixed, so only the filters are moved for it."""
    loss = Equilibrium(Implicit(tol=1e-10), STOP, penalty=0.3, power_steps=100)
    plain = EndToEnd(Implicit(tol=1e-10), STOP)
    rng = np.random.default_rng(0)
    direction = jnp.asarray(rng.standard_normal(restorer.prior.filters.shape))
    points = jax.vmap(lambda data: restorer(data, stop=STOP).value)(batch.data)

    @jax.jit
    def excess(filters):
        prior = eqx.tree_at(lambda p: p.filters, restorer.prior, filters)
        found = jax.vmap(
            lambda x: lipschitz_constant(prior, x, 0.3, of="reflection", tol=1e-10).norm
        )
        return 0.3 * jnp.mean(found(points) - 0.95)

    step = 1e-5
    filters = restorer.prior.filters
    moved = (excess(filters + s * step * direction) for s in (1, -1))
    expected = jnp.subtract(*moved) / (2 * step)
    slopes = [eqx.filter_grad(mean_error)(restorer, one, batch) for one in (loss, plain)]
    found = jnp.vdot(slopes[0].prior.filters - slopes[1].prior.filters, direction)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_training_with_the_penalty_makes_the_denoiser_averaged(restorer, simulate, operator, batch):
    def stretch(restorer):
        return float(lipschitz_constant(restorer.prior, batch.truth[0], 0.3, of="reflection").norm)

    loss = Equilibrium(Implicit(), Stop(200, 1e-5), penalty=0.3)
    found = fit(loss, restorer, operator, simulate, SGD, 12, jax.random.key(0), batch, records=3)
    assert found.status == Status.COMPLETED
    assert stretch(restorer) > 1.3
    assert stretch(found.parameters) < 1.1


def test_untied_solvers_are_refused(network, batch):
    untied = Restorer.start(PnPADMM(0.01, jnp.asarray([0.2, 0.1])), network)
    with pytest.raises(ValueError, match="tied plug-and-play"):
        Equilibrium()(untied, None, batch)
