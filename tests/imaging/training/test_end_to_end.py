import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from unrolljax import Implicit, OneStep, Status, Stop, Truncated, Unroll
from unrolljax.imaging.restoration import Restoration
from unrolljax.imaging.solvers import PnPADMM, PnPProximalGradient, REDGradient, restore
from unrolljax.imaging.training import EndToEnd, Measured, Restorer, fit

NOISE = 0.05
ADAM = optax.adam(0.02)
STOP = Stop(1000, 1e-12)
SETTLED = {
    "implicit": EndToEnd(Implicit(tol=1e-10), STOP),
    "unrolled": EndToEnd(Unroll(), Stop(150, None)),
}


@pytest.fixture(scope="module")
def restorer(network):
    return Restorer.start(PnPADMM(2 * NOISE**2, 0.1), network)


@pytest.fixture(scope="module")
def batch(simulate, operator):
    return jax.jit(simulate)(operator, jax.random.key(7))


@eqx.filter_jit
def mean_error(restorer, loss, batch):
    return jnp.mean(loss(restorer, None, batch).error)


def test_a_restorer_is_its_solver_and_its_prior(restorer, network, batch):
    data = jax.tree.map(lambda v: v[0], batch.data)
    found = restorer(data, stop=STOP)
    solver = PnPADMM(2 * NOISE**2, 0.1)
    expected = restore(solver, Restoration(data, network), stop=STOP)
    np.testing.assert_allclose(found.value, expected.value, rtol=1e-8, atol=1e-10)
    assert found.status == Status.CONVERGED


def test_the_loss_is_the_mean_squared_error_of_each_image(restorer, batch):
    outcome = eqx.filter_jit(SETTLED["implicit"])(restorer, None, batch)
    data = jax.tree.map(lambda v: v[2], batch.data)
    expected = np.mean((restorer(data, stop=STOP).value - batch.truth[2]) ** 2)
    np.testing.assert_allclose(outcome.error[2], expected, rtol=1e-7)
    assert outcome.error.shape == outcome.status.shape == (4,)


@pytest.mark.parametrize("mode", SETTLED)
def test_the_gradient_agrees_with_finite_differences(restorer, batch, mode):
    loss = SETTLED[mode]
    slope = eqx.filter_grad(mean_error)(restorer, loss, batch)
    rng = np.random.default_rng(0)
    direction = jax.tree.map(
        lambda v: jnp.asarray(rng.standard_normal(v.shape)) if eqx.is_inexact_array(v) else v,
        restorer,
    )
    step = 1e-4
    ahead, behind = (
        mean_error(
            jax.tree.map(lambda v, d, s=s: v + s * step * d, restorer, direction), loss, batch
        )
        for s in (1, -1)
    )
    along = sum(
        jnp.vdot(a, b)
        for a, b in zip(jax.tree.leaves(slope), jax.tree.leaves(direction), strict=True)
    )
    np.testing.assert_allclose(along, (ahead - behind) / (2 * step), rtol=2e-5)


MODES = {
    "implicit": EndToEnd(Implicit(), Stop(100, 1e-5)),
    "unrolled": EndToEnd(Unroll(), Stop(10, None)),
    "truncated": EndToEnd(Truncated(3), Stop(10, None)),
    "one step": EndToEnd(OneStep(), Stop(10, None)),
}


@pytest.mark.usefixtures("standard_promotion")
@pytest.mark.parametrize("mode", MODES)
def test_training_lowers_the_error_on_new_images_in_every_mode(
    restorer, simulate, operator, batch, mode
):
    loss = MODES[mode]
    found = fit(loss, restorer, operator, simulate, ADAM, 20, jax.random.key(0), batch, records=4)
    assert found.status == Status.COMPLETED
    assert found.skipped == 0
    assert not jnp.any(found.failed)
    assert found.loss.shape == (20,)
    before, after = (mean_error(r, loss, batch) for r in (restorer, found.parameters))
    assert after < 0.9 * before
    np.testing.assert_allclose(after, jnp.min(found.validation), rtol=1e-6)
    assert found.parameters.solver.sigma > 0


@pytest.mark.usefixtures("standard_promotion")
def test_other_solvers_train_as_well(network, simulate, operator, batch):
    for solver, weight in ((PnPProximalGradient(1e-3, 0.1), 1.0), (REDGradient(1e-3, 0.1), 200.0)):
        start = Restorer.start(solver, network, weight)
        loss = MODES["unrolled"]
        found = fit(loss, start, operator, simulate, ADAM, 10, jax.random.key(0), batch, records=2)
        assert mean_error(found.parameters, loss, batch) < mean_error(start, loss, batch)


def test_numbers_that_have_no_logarithm_are_refused(network):
    with pytest.raises(ValueError, match="must be positive"):
        Restorer.start(PnPADMM(1.0, 0.1), network, weight=0.0)


def break_one(simulate, which):
    """Batches in which the numbers of one image overflow."""

    def sample(operator, key):
        data, truth = simulate(operator, key)
        y = data.y.at[which].multiply(1e200)
        return Measured(eqx.tree_at(lambda d: d.y, data, y), truth)

    return sample


def test_a_solve_that_fails_is_counted_and_teaches_nothing(restorer, simulate, operator, batch):
    loss, key = MODES["implicit"], jax.random.key(0)
    sgd = optax.sgd(0.1)

    def three(operator, key):
        return jax.tree.map(lambda v: v[1:], simulate(operator, key))

    found = fit(loss, restorer, operator, break_one(simulate, 0), sgd, 3, key, batch, records=1)
    expected = fit(loss, restorer, operator, three, sgd, 3, key, batch, records=1)
    np.testing.assert_array_equal(found.failed, [1, 1, 1])
    assert found.skipped == 0
    np.testing.assert_allclose(found.loss, expected.loss, rtol=1e-6)
    for a, b in zip(
        jax.tree.leaves(found.parameters), jax.tree.leaves(expected.parameters), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.usefixtures("standard_promotion")
@pytest.mark.parametrize("mode", ["implicit", "unrolled"])
def test_where_all_solves_diverge_the_parameters_stay(network, simulate, operator, batch, mode):
    start = Restorer.start(PnPProximalGradient(1e3, 0.1), network)
    stop = Stop(60, 1e-4)
    loss = EndToEnd(Implicit() if mode == "implicit" else Unroll(), stop)
    found = fit(loss, start, operator, simulate, ADAM, 2, jax.random.key(0), batch, records=1)
    np.testing.assert_array_equal(found.failed, [4, 4])
    assert found.skipped == 2
    assert jnp.all(jnp.isnan(found.loss))
    assert jnp.all(jnp.isinf(found.validation))
    assert found.status in (Status.DIVERGED, Status.NONFINITE)
    for a, b in zip(jax.tree.leaves(found.parameters), jax.tree.leaves(start), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.usefixtures("standard_promotion")
def test_other_numbers_compile_nothing(restorer, simulate, operator, batch):
    traced = []

    def sample(operator, key):
        traced.append(1)
        return simulate(operator, key)

    def run(scale, tol, key):
        start = jax.tree.map(lambda v: scale * v, restorer)
        loss = EndToEnd(Implicit(), Stop(50, tol))
        return fit(loss, start, operator, sample, ADAM, 2, jax.random.key(key), batch, records=1)

    run(1.0, 1e-3, 0)
    first = len(traced)
    run(1.01, 2e-3, 1)
    assert len(traced) == first


def test_records_that_do_not_divide_the_steps_are_refused(restorer, simulate, operator, batch):
    with pytest.raises(ValueError, match="records=3, steps=10"):
        fit(MODES["unrolled"], restorer, operator, simulate, ADAM, 10, jax.random.key(0), batch, 3)
