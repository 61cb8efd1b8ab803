"""The front door: what it accepts, what it refuses before compiling, and closures."""

from collections.abc import Callable

import equinox as eqx
import flax.linen
import flax.nnx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unrolljax as uj

MODES = [uj.Implicit(tol=1e-12), uj.Implicit(tol=1e-12, ad="both"), uj.Unroll(),
         uj.Truncated(tol=1e-10), uj.Truncated(depth=150), uj.Neumann(150)]  # fmt: skip
STOP = uj.Stop(300, 1e-13)


def pytree_map(theta, x):
    a, b = x["a"], x["b"][0]
    return {
        "a": 0.4 * jnp.sin(a) + theta["shift"] * jnp.sum(b),
        "b": (0.3 * jnp.cos(b) * theta["scale"][0] + 0.1 * jnp.mean(a),),
    }


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_pytrees_of_any_structure(mode):
    theta = {"shift": 0.1, "scale": [np.array([[0.5], [0.7]])], "name": "kept", "count": 3}
    start = {"a": np.zeros(3), "b": (np.zeros((2, 1)),)}

    def loss(scale, mode=mode):
        solution = uj.solve(
            uj.FixedPoint(pytree_map), theta | {"scale": [scale]}, start, gradient=mode, stop=STOP
        )
        return jnp.sum(solution.value["a"] ** 2) + jnp.sum(solution.value["b"][0] ** 3)

    scale = jnp.asarray(theta["scale"][0])
    gradient = jax.grad(loss)(scale)
    h = 1e-5
    for k in range(2):
        step = h * jnp.eye(2)[k][:, None]
        difference = (loss(scale + step, uj.Detach()) - loss(scale - step, uj.Detach())) / (2 * h)
        np.testing.assert_allclose(gradient[k, 0], difference, rtol=1e-7)


@pytest.mark.parametrize("jit", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("mode", MODES, ids=str)
def test_closures_over_traced_arrays_keep_their_derivative(mode, jit):
    """x = 0.5 cos x + a + b + c: a in the solver's map, b in a default, c in the problem."""

    def value(theta, c):
        solver = uj.FixedPoint(lambda p, x, b=2 * theta: 0.5 * jnp.cos(x) + theta + b + p)
        return uj.solve(solver, c, 0.0, gradient=mode, stop=STOP).value

    gradient = jax.grad(value, (0, 1))
    gradient = jax.jit(gradient) if jit else gradient
    found = gradient(0.1, 0.2)
    x = float(value(0.1, 0.2))
    slope = 1 / (1 + 0.5 * np.sin(x))
    np.testing.assert_allclose(found, (3 * slope, slope), rtol=1e-8)


class StaticMap(uj.Solver):
    function: Callable = eqx.field(static=True)

    def init(self, problem, x0):
        return x0

    def step(self, problem, state):
        return self.function(problem, state)

    def read(self, state):
        return state


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_a_static_field_may_close_over_a_traced_array(mode):
    def value(theta):
        solver = StaticMap(lambda p, x: 0.5 * jnp.cos(x) + theta)
        return uj.solve(solver, 0.0, 0.0, gradient=mode, stop=STOP).value

    slope = 1 / (1 + 0.5 * np.sin(float(value(0.3))))
    np.testing.assert_allclose(jax.grad(value)(0.3), slope, rtol=1e-8)


def test_a_problem_that_closes_over_a_traced_array():
    def value(theta):
        problem = uj.Objective(lambda _, x: jnp.sum((x - theta) ** 2) + jnp.sum(x**2))
        solution = uj.solve(uj.GradientDescent(0.2), problem, jnp.zeros(2), stop=STOP)
        return jnp.sum(solution.value) + solution.objective

    theta = 0.7  # x = theta / 2 twice; objective = 2 (theta^2 / 4 + theta^2 / 4) = theta^2
    np.testing.assert_allclose(jax.grad(value)(theta), 1 + 2 * theta, rtol=1e-8)


def deep_equilibrium(network, x):
    return 0.3 * jnp.tanh(network(x)) + 0.1


def check_parameters(value, parameters):
    """A directional derivative of every mode against central differences."""
    leaves, treedef = jax.tree.flatten(parameters)
    random = np.random.default_rng(0)
    direction = treedef.unflatten([jnp.asarray(random.normal(size=v.shape)) for v in leaves])

    def along(t):
        moved = jax.tree.map(lambda v, d: v + t * d, parameters, direction)
        return value(moved, uj.Detach())

    expected = (along(1e-5) - along(-1e-5)) / 2e-5
    for mode in (uj.Implicit(tol=1e-12), uj.Unroll()):
        gradient = jax.grad(value)(parameters, mode)
        products = jax.tree.map(lambda g, d: jnp.sum(g * d), gradient, direction)
        np.testing.assert_allclose(sum(jax.tree.leaves(products)), expected, rtol=1e-6)


def test_equinox_networks():
    network = eqx.nn.MLP(3, 3, 8, 1, key=jax.random.key(0))
    arrays, static = eqx.partition(network, eqx.is_inexact_array)

    def value(arrays, mode):
        network = eqx.combine(arrays, static)
        return jnp.sum(
            uj.solve(
                uj.FixedPoint(deep_equilibrium), network, jnp.zeros(3), gradient=mode, stop=STOP
            ).value
        )

    check_parameters(value, arrays)


def test_linen_networks():
    network = flax.linen.Dense(3, param_dtype=float)
    parameters = network.init(jax.random.key(0), jnp.zeros(3))

    def value(parameters, mode):
        solver = uj.FixedPoint(lambda p, x: deep_equilibrium(lambda v: network.apply(p, v), x))
        return jnp.sum(uj.solve(solver, parameters, jnp.zeros(3), gradient=mode, stop=STOP).value)

    check_parameters(value, parameters)


def test_nnx_networks():
    network = flax.nnx.Linear(3, 3, param_dtype=float, rngs=flax.nnx.Rngs(0))
    graph, state = flax.nnx.split(network)

    def value(state, mode):
        solver = uj.FixedPoint(lambda p, x: deep_equilibrium(flax.nnx.merge(graph, p), x))
        return jnp.sum(uj.solve(solver, state, jnp.zeros(3), gradient=mode, stop=STOP).value)

    check_parameters(value, state)


SOLVER = uj.FixedPoint(lambda t, x: 0.5 * x + t)


@pytest.mark.parametrize(
    ("error", "match", "call"),
    [
        (TypeError, "dtype int", lambda: uj.solve(SOLVER, 1.0, np.zeros(2, int))),
        (TypeError, "astype", lambda: uj.solve(SOLVER, 1.0, {"a": 0})),
        (ValueError, "no arrays", lambda: uj.solve(SOLVER, 1.0, {})),
        (TypeError, "instance", lambda: uj.solve(uj.FixedPoint, 1.0, 0.0)),
        (TypeError, "instance", lambda: uj.solve(SOLVER, 1.0, 0.0, gradient=uj.Implicit)),
        (TypeError, "stop", lambda: uj.solve(SOLVER, 1.0, 0.0, stop=100)),
        (ValueError, "10 eps", lambda: uj.solve(SOLVER, 1.0, 0.0, stop=uj.Stop(9, 1e-17))),
        (
            ValueError,
            "float32",
            lambda: uj.solve(SOLVER, 1.0, np.float32(0), stop=uj.Stop(9, 1e-7)),
        ),
        (
            ValueError,
            r"Implicit\(tol\)",
            lambda: uj.solve(SOLVER, 1.0, 0.0, gradient=uj.Implicit(tol=1e-18)),
        ),
        (
            ValueError,
            "tests no convergence",
            lambda: uj.solve(SOLVER, 1.0, 0.0, stop=uj.Stop(9, None)),
        ),
        (
            ValueError,
            r"float64\[4\] instead of float64\[2\]",
            lambda: uj.solve(uj.FixedPoint(lambda t, x: jnp.concatenate([x, x])), 1.0, np.zeros(2)),
        ),
        (
            ValueError,
            "structures differ",
            lambda: uj.solve(uj.FixedPoint(lambda t, x: (x, x)), 1.0, np.zeros(2)),
        ),
        (
            ValueError,
            "instead of float32",
            lambda: uj.solve(
                uj.FixedPoint(lambda t, x: x.astype(float)), 1.0, np.zeros(2, np.float32)
            ),
        ),
        (
            ValueError,
            "Unroll()",
            lambda: uj.solve(
                SOLVER, 1.0, 0.0, gradient=uj.Truncated(depth=50), stop=uj.Stop(50, 1e-9)
            ),
        ),
        (ValueError, "max_steps", lambda: uj.Stop(0)),
        (TypeError, "Python int", lambda: uj.Stop(10.0)),
        (ValueError, "trace_every", lambda: uj.Stop(10, trace_every=11)),
        (ValueError, "checkpoint", lambda: uj.Unroll("half")),
        (ValueError, "depth", lambda: uj.Truncated(depth=0)),
        (ValueError, "tol", lambda: uj.Truncated(tol=2.0)),
        (ValueError, "terms", lambda: uj.Neumann(0)),
        (ValueError, "linear_solver", lambda: uj.Implicit(linear_solver="lu")),
        (ValueError, "ad=", lambda: uj.Implicit(ad="forward")),
        (ValueError, "on_failure", lambda: uj.Implicit(on_failure="raise")),
        (ValueError, "capacity", lambda: uj.Implicit(capacity=0)),
    ],
)
def test_bad_input_raises_before_compiling(error, match, call):
    with pytest.raises(error, match=match):
        call()


@pytest.mark.parametrize("mode", [uj.Unroll(), uj.Truncated(), uj.OneStep(), uj.Neumann()])
def test_modes_that_a_solver_cannot_support_are_refused(mode):
    import jaxopt

    solver = uj.solvers.Jaxopt(lambda p: jaxopt.LBFGS(p.objective))
    problem = uj.Objective(lambda t, x: jnp.sum((x - t) ** 2), 1.0)
    with pytest.raises(ValueError, match="gradient=Implicit"):
        uj.solve(solver, problem, np.zeros(2), gradient=mode)


def test_a_solver_must_define_its_functions():
    class Empty(uj.Solver):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty must define init"):
        uj.solve(Empty(), 1.0, 0.0)
