"""Safeguarded networks: solutions, certificates, costs and derivatives, whatever the network."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unrolljax as uj
from unrolljax import sparse
from unrolljax.lab.compilations import counted
from unrolljax.sparse.analytic import analytic_weight
from unrolljax.sparse.networks import ALISTA, SLISTA, CoupledLayer, CoupledLISTA
from unrolljax.sparse.networks.batch import anyone
from unrolljax.sparse.networks.safeguard import Safeguard
from unrolljax.sparse.partition import Blocks
from unrolljax.sparse.problems.group_lasso import GroupLasso

M, N, DEPTH = 20, 40, 10
rng = np.random.default_rng(0)
A = rng.standard_normal((M, N))
A = jnp.asarray(A / np.linalg.norm(A, axis=0))
CODES = np.where(rng.random((4, N)) < 0.15, rng.standard_normal((4, N)), 0)
Y = jnp.asarray(CODES @ np.asarray(A).T + 0.05 * rng.standard_normal((4, M)))
WEIGHT = 0.1
STEP = 1 / float(jnp.linalg.norm(A, 2)) ** 2
STOP = uj.Stop(5000, 1e-12)


def coupled(scale, seed=1):
    weight = scale * jnp.asarray(np.random.default_rng(seed).standard_normal((DEPTH, M, N)))
    return CoupledLISTA(CoupledLayer(weight, jnp.full(DEPTH, -2.0)))


NETWORKS = {
    "random": coupled(0.1),
    "huge": coupled(1e6),
    "NaN": coupled(np.nan),
    "ISTA": SLISTA.start(DEPTH, STEP, WEIGHT, dtype=jnp.float64),
    "overrelaxed": SLISTA.start(DEPTH, 1.9 * STEP, WEIGHT, dtype=jnp.float64),
    "unstable": SLISTA.start(DEPTH, 6 * STEP, WEIGHT, dtype=jnp.float64),
    "analytic": ALISTA.start(DEPTH, 1.0, 0.1, dtype=jnp.float64),
}


def safeguarded(network, **settings):
    return Safeguard(network, STEP, jnp.asarray(analytic_weight(np.asarray(A))), **settings)


@eqx.filter_jit
def all_solved(network, stop=STOP, certified=False):
    solver = safeguarded(network, certified=certified)

    def one(y):
        problem = sparse.Lasso(A, y, WEIGHT)
        return uj.solve(solver, problem, jnp.zeros(N), gradient=uj.Detach(), stop=stop)

    return jax.vmap(one)(Y)


@pytest.fixture(scope="module")
def solutions():
    solver = uj.solvers.ProximalGradient(STEP, accelerated=True)

    def one(y):
        return uj.solve(solver, sparse.Lasso(A, y, WEIGHT), jnp.zeros(N), stop=STOP)

    return jax.vmap(one)(Y).raise_if_failed()


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_ends_at_the_solution(name, solutions):
    found = all_solved(NETWORKS[name]).raise_if_failed()
    np.testing.assert_allclose(found.value, solutions.value, atol=1e-10)
    tried, accepted = (np.asarray(v) for v in (found.state.tried, found.state.accepted))
    assert np.all((accepted <= tried) & (tried <= DEPTH))
    if name in ("huge", "NaN"):
        assert np.all(accepted == 0)
    if name == "ISTA":
        assert np.all(accepted == DEPTH)


def test_a_useless_network_costs_little(solutions):
    """At most 1.3 times FISTA's products; a layer's own product is counted with its trials."""
    found = all_solved(NETWORKS["random"])
    tried, accepted = (np.asarray(v) for v in (found.state.tried, found.state.accepted))
    assert np.all((tried >= 2) & (accepted < 3))
    products = 2 * (1 + np.asarray(found.steps)) + tried
    assert np.all(products <= 1.3 * 2 * np.asarray(solutions.steps))


def test_the_certificate_bounds_the_error_at_every_step_and_closes(solutions):
    problem = sparse.Lasso(A, Y[0], WEIGHT)
    solver = safeguarded(NETWORKS["overrelaxed"])
    least = problem.objective(solutions.value[0])

    def advance(state, _):
        state = solver.step(problem, state)
        return state, (solver.gap(state), problem.objective(solver.read(state)))

    first = solver.init(problem, jnp.zeros(N))
    gap, objective = jax.lax.scan(advance, first, length=200)[1]
    assert np.all(gap >= objective - least - 1e-14)
    assert gap[-1] < 1e-8
    assert np.all(np.diff(objective[:DEPTH]) < 0)


@pytest.mark.parametrize("name", ["random", "overrelaxed"])
def test_certified_it_stops_as_soon_as_the_gap_is_small(name):
    found = all_solved(NETWORKS[name], uj.Stop(5000, 1e-6), certified=True).raise_if_failed()
    energy = jnp.sum(Y**2, axis=1) / 2
    gap = jax.vmap(lambda y, x: sparse.Lasso(A, y, WEIGHT).duality_gap(x))(Y, found.value)
    assert np.all(gap < 3e-6 * energy)
    assert np.all(found.steps < all_solved(NETWORKS[name]).steps)


def products_in(jaxpr):
    """How many products with a matrix, outside and inside of branches."""
    outside = inside = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            shapes = [v.aval.shape[-2:] for v in equation.invars]
            outside += (M, N) in shapes or (N, M) in shapes
        parts = [
            part for p in equation.params.values() for part in (p if type(p) is tuple else [p])
        ]
        for part in parts:
            inner = getattr(part, "jaxpr", part)
            if hasattr(inner, "eqns"):
                found = sum(products_in(inner))
                inside += found if equation.primitive.name == "cond" else 0
                outside += found if equation.primitive.name != "cond" else 0
    return outside, inside


@pytest.mark.parametrize(("name", "own"), [("random", 1), ("ISTA", 0), ("analytic", 1)])
@pytest.mark.parametrize("batched", [False, True])
def test_a_step_takes_two_products_and_a_layer_s_own(name, own, batched):
    """Also in a batch, where the layer's stays in its branch."""
    solver = safeguarded(NETWORKS[name])

    def advance(y, state):
        return solver.step(sparse.Lasso(A, y, WEIGHT), state)

    start = jax.vmap(lambda y: solver.init(sparse.Lasso(A, y, WEIGHT), jnp.zeros(N)))(Y)
    if batched:
        jaxpr = jax.make_jaxpr(jax.vmap(advance))(Y, start).jaxpr
    else:
        jaxpr = jax.make_jaxpr(advance)(Y[0], jax.tree.map(lambda v: v[0], start)).jaxpr
    assert products_in(jaxpr) == (2, own)


def test_those_that_have_ended_ask_for_nothing():
    asks = jnp.array([True, False, False])
    running = jax.vmap(lambda asks, clock: anyone(asks, clock)[0], out_axes=None)
    assert bool(running(asks, jnp.array([5, 5, 5])))
    assert not bool(running(asks, jnp.array([4, 5, 5])))
    nested = jax.vmap(jax.vmap(anyone, out_axes=None), out_axes=None)
    asked, latest = nested(asks[None], jnp.array([[5, 5, 4]]))
    assert (bool(asked), int(latest)) == (True, 5)
    assert bool(anyone(jnp.array(True), jnp.array(3))[0])


def test_a_batch_and_its_elements_agree():
    together = all_solved(NETWORKS["overrelaxed"])
    problem = sparse.Lasso(A, Y[2], WEIGHT)
    solver = safeguarded(NETWORKS["overrelaxed"])
    alone = uj.solve(solver, problem, jnp.zeros(N), gradient=uj.Detach(), stop=STOP)
    np.testing.assert_allclose(alone.value, together.value[2], atol=1e-13)
    assert int(alone.steps) == int(together.steps[2])


def loss_of(solver, gradient, stop):
    def loss(factors):
        problem = sparse.Lasso(A, factors[0] * Y[1], factors[1] * WEIGHT)
        found = uj.solve(solver, problem, jnp.zeros(N), gradient=gradient, stop=stop)
        return jnp.sum((found.value - CODES[1]) ** 2)

    return loss


def test_implicit_gradients_are_the_lasso_s():
    ones, stop = jnp.ones(2), uj.Stop(5000, 1e-13)
    ours = loss_of(safeguarded(NETWORKS["random"]), uj.Implicit(tol=1e-12), stop)
    classical = uj.solvers.ProximalGradient(STEP, accelerated=True)
    slopes = jax.grad(ours)(ones)
    theirs = jax.grad(loss_of(classical, uj.Implicit(tol=1e-12), stop))(ones)
    np.testing.assert_allclose(slopes, theirs, rtol=1e-8)
    values = jax.lax.map(ours, 1 + 1e-6 * jnp.array([[0, 1.0], [0, -1.0]]))
    np.testing.assert_allclose(slopes[1], (values[0] - values[1]) / 2e-6, rtol=1e-5)


def test_unrolled_steps_have_the_gradients_of_differences():
    def loss(steps):
        network = SLISTA.start(4, 1.0, WEIGHT, dtype=jnp.float64)
        network = eqx.tree_at(lambda n: n.layers.log_step, network, steps)
        stop = uj.Stop(7, tol=None)
        return loss_of(safeguarded(network), uj.Unroll(), stop)(jnp.ones(2))

    steps = jnp.log(STEP * jnp.array([1.5, 2.0, 1.2, 1.8]))
    slope = jax.grad(loss)(steps)
    nudge = jnp.array([0, 1e-6, 0, 0])
    assert abs(slope[1]) > 1e-4
    differences = (loss(steps + nudge) - loss(steps - nudge)) / 2e-6
    np.testing.assert_allclose(slope[1], differences, rtol=1e-5)


def test_other_penalties_are_solved_too():
    problems = [
        (sparse.ElasticNet(A, Y[0], WEIGHT, 0.3), SLISTA.start(5, STEP, WEIGHT)),
        (GroupLasso(A, Y[0], WEIGHT, Blocks(4)), SLISTA.start(5, STEP, WEIGHT, Blocks(4))),
    ]
    step = 1 / (1 / STEP + 0.3)
    for problem, network in problems:
        network = jax.tree.map(lambda v: jnp.asarray(v, float), network)
        classical = uj.solvers.ProximalGradient(step, accelerated=True)
        expected, found = (
            uj.solve(solver, problem, jnp.zeros(N), stop=STOP).raise_if_failed().value
            for solver in (classical, Safeguard(network, step))
        )
        np.testing.assert_allclose(found, expected, atol=1e-10)


def test_single_precision_stays_and_new_numbers_compile_nothing():
    single = jax.tree.map(lambda v: jnp.asarray(v, jnp.float32), NETWORKS["random"])
    A32, Y32 = (jnp.asarray(v, jnp.float32) for v in (A, Y))
    stop = uj.Stop(1000, 1e-5)

    def solved(network, y, weight):
        solver = Safeguard(network, jnp.asarray(STEP, jnp.float32))
        problem = sparse.Lasso(A32, y, jnp.asarray(weight, jnp.float32))
        return uj.solve(solver, problem, jnp.zeros(N, jnp.float32), gradient=uj.Detach(), stop=stop)

    first = solved(single, Y32[0], 0.1).raise_if_failed()
    assert first.value.dtype == jnp.float32
    other = jax.tree.map(lambda v: 0.5 * v, single)
    y, weight = Y32[1], 0.2
    with counted() as count:
        solved(other, y, weight)
    assert count.count == 0


def test_losses_that_are_no_squares_are_refused():
    class Other(sparse.Lasso):
        def misfit(self, prediction):
            return jnp.sum(jnp.abs(prediction))

    with pytest.raises(ValueError, match="least squares"):
        uj.solve(safeguarded(NETWORKS["random"]), Other(A, Y[0], WEIGHT), jnp.zeros(N))
