"""Safeguarded networks against FISTA: products with A and A^T, seconds, and certificates.

250 x 500, codes of 50 entries, float64. FISTA is told by an oracle of its duality gap when to stop;
the safeguarded network stops by its own certificate.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import unrolljax as uj
from benchmarks.parts import Row
from unrolljax.sparse import training
from unrolljax.sparse.networks import SLISTA, CoupledLayer, CoupledLISTA, after_each_layer
from unrolljax.sparse.networks.decode import after_each_step
from unrolljax.sparse.networks.safeguard import Safeguard
from unrolljax.sparse.sensing import Sensing

PART, M, N, LAYERS = "safeguard", 250, 500, 16
GAP, LONGEST, COURSE, REPEATS = 1e-6, 2000, 500, 50
ENSEMBLE = training.Ensemble(0.1)


class Setting(NamedTuple):
    """The operator, its step size, the weight of the lasso, and measurements of test codes."""

    sensing: Sensing
    step: float
    weight: float
    y: jax.Array


def run(quick: bool) -> list[Row]:
    """Random weights must cost little; a trained network must gain where iterations are few."""
    with jax.enable_x64(True):
        setting = _setting(0.05, 8 if quick else 32)
        rows = _random(setting)
        return rows if quick else rows + _trained(_setting(0.3, 32))


def _setting(weight: float, problems: int) -> Setting:
    A = np.random.default_rng(7).standard_normal((M, N))
    A = jnp.asarray(A / np.linalg.norm(A, axis=0))
    sensing = Sensing(A, A)
    step = float(1 / jnp.linalg.norm(A, 2) ** 2)
    return Setting(sensing, step, weight, ENSEMBLE.draw(sensing, jax.random.key(1), problems).y)


def _random(setting: Setting) -> list[Row]:
    """Gaussian matrices and thresholds that were never trained."""
    weight = 0.05 * jax.random.normal(jax.random.key(3), (LAYERS, M, N))
    network = CoupledLISTA(CoupledLayer(weight, jnp.full(LAYERS, jnp.log(0.1))))
    steps = _fista_steps(setting)
    found = _safeguarded(network, setting)
    products = 2 * (1 + found.steps) + found.state.tried
    ratio = np.asarray(products / (2 * steps))
    gaps = _gaps(setting, found.value)
    far = jnp.max(jnp.abs(found.value - _fista(setting, LONGEST)))
    means = f"{jnp.mean(2.0 * steps):.0f} -> {jnp.mean(1.0 * products):.0f}"
    worst_gap, worst = float(gaps.max()), float(ratio.max())
    name = "random weights"
    return [
        Row(PART, f"{name}, largest gap", f"{worst_gap:.1e}", f"<= {GAP}", worst_gap <= GAP),
        Row(PART, f"{name}, largest distance from FISTA's solution", f"{far:.1e}"),
        Row(PART, f"{name}, mean products, FISTA -> safeguarded", means),
        Row(
            PART,
            f"{name}, products over FISTA's, the largest",
            f"{worst:.2f}x",
            "<= 1.3x",
            worst <= 1.3,
        ),
        *_seconds(network, setting, steps),
    ]


def _seconds(network, setting: Setting, steps: jax.Array) -> list[Row]:
    """One problem after the other, and all in one batch; FISTA is told when to stop.

    One after the other it takes its mean number of steps for each, in a batch its largest.
    """
    mean, longest = round(float(jnp.mean(steps))), int(jnp.max(steps))

    @eqx.filter_jit
    def learned_in_turn(network, setting):
        return jax.lax.map(lambda y: _one(network, setting, y).value, setting.y)

    @eqx.filter_jit
    def learned_together(network, setting):
        return _safeguarded(network, setting).value

    @eqx.filter_jit
    def classical_in_turn(setting):
        return jax.lax.map(lambda y: _one_fista(setting, y, mean), setting.y)

    pairs = [
        ("in turn", lambda: classical_in_turn(setting), lambda: learned_in_turn(network, setting)),
        ("batch", lambda: _fista(setting, longest), lambda: learned_together(network, setting)),
    ]
    rows = []
    for name, classical, learned in pairs:
        ratio = _ratio(learned, classical)
        name = f"random weights, seconds over FISTA's, {name}"
        rows.append(Row(PART, name, f"{ratio:.2f}x", "<= 1.3x", ratio <= 1.3))
    return rows


def _trained(setting: Setting) -> list[Row]:
    """SLISTA's steps learned on the lasso's objective, without codes."""
    start = time.process_time()
    network = _slista(setting)
    seconds = time.process_time() - start
    rows = [Row(PART, "SLISTA, 10 layers, training", f"{seconds:.0f} CPU-s")]
    classical = _excess(setting, _fista_course(setting))
    learned = _excess(setting, after_each_layer(network, setting.sensing, setting.y))
    guarded = _excess(setting, _safeguarded_course(network, setting))
    for k in (3, 5, 8, 10):
        # A safeguarded course of k - 1 steps has taken 2 k products, those of its start included.
        value = f"{classical[k - 1]:.3g} / {learned[k - 1]:.3g} / {guarded[k - 2]:.3g}"
        name = f"{2 * k} products: excess of FISTA / SLISTA / safeguarded"
        faster = bool(max(learned[k - 1], guarded[k - 2]) < classical[k - 1])
        rows.append(Row(PART, name, value, "both below FISTA", faster))
    steps = _fista_steps(setting)
    found = _safeguarded(network, setting)
    products = jnp.mean(2.0 * (1 + found.steps))
    value = f"{jnp.mean(2.0 * steps):.0f} / {products:.0f}"
    rows.append(Row(PART, f"products to a gap of {GAP:g}: FISTA / safeguarded", value))
    return rows


@eqx.filter_jit
def _one(network, setting: Setting, y: jax.Array) -> uj.Solution:
    solver = Safeguard(network, setting.step, certified=True)
    stop = uj.Stop(LONGEST, GAP / (jnp.sum(y**2) / 2))
    return _solved(solver, setting, y, stop)


@eqx.filter_jit
def _safeguarded(network, setting: Setting) -> uj.Solution:
    return jax.vmap(lambda y: _one(network, setting, y))(setting.y)


@eqx.filter_jit
def _one_fista(setting: Setting, y: jax.Array, steps: int) -> jax.Array:
    """So many steps, each with its stop test."""
    solver = uj.solvers.ProximalGradient(setting.step, accelerated=True)
    return _solved(solver, setting, y, uj.Stop(steps, tol=1e-14)).value


@eqx.filter_jit
def _fista(setting: Setting, steps: int) -> jax.Array:
    return jax.vmap(lambda y: _one_fista(setting, y, steps))(setting.y)


def _solved(solver: uj.Solver, setting: Setting, y: jax.Array, stop: uj.Stop) -> uj.Solution:
    problem = _problem(setting, y)
    return uj.solve(solver, problem, jnp.zeros(N), gradient=uj.Detach(), stop=stop)


def _fista_course(setting: Setting) -> jax.Array:
    weight = jnp.asarray(setting.weight)
    return training.lasso_codes_by_step(setting.sensing, setting.y, weight, COURSE, True)


def _safeguarded_course(network, setting: Setting) -> jax.Array:
    solver = Safeguard(network, setting.step)

    def one(y):
        problem = _problem(setting, y)
        return after_each_step(solver, problem, jnp.zeros(N), 20)

    return jax.vmap(one, out_axes=1)(setting.y)


def _fista_steps(setting: Setting) -> jax.Array:
    """How many steps take FISTA's duality gap below the target, by measurement."""
    gaps = jax.lax.map(lambda x: _gaps(setting, x), _fista_course(setting))
    return 1 + jnp.argmax(gaps <= GAP, axis=0)


def _gaps(setting: Setting, x: jax.Array) -> jax.Array:
    return jax.vmap(lambda y, x: _problem(setting, y).duality_gap(x))(setting.y, x)


def _objectives(setting: Setting, x: jax.Array) -> jax.Array:
    return jax.vmap(lambda y, x: _problem(setting, y).objective(x))(setting.y, x)


def _problem(setting: Setting, y: jax.Array) -> uj.sparse.Lasso:
    return uj.sparse.Lasso(setting.sensing.A, y, setting.weight)


def _excess(setting: Setting, course: jax.Array) -> jax.Array:
    """The mean objective above the least, after each step."""
    least = _objectives(setting, _fista_course(setting)[-1])
    return jnp.mean(jax.vmap(lambda x: _objectives(setting, x))(course) - least[None], axis=1)


def _slista(setting: Setting) -> SLISTA:
    start = SLISTA.start(10, setting.step, setting.weight, dtype=jnp.float64)
    validation = ENSEMBLE.draw(setting.sensing, jax.random.key(5), 128)
    adam = training.bounded_adam(0.05, 100)
    key = jax.random.key(2)
    fit = training.fit(
        _objective_loss, start, setting.sensing, _draw, adam, 100, key, validation, 5
    )
    return fit.parameters


def _objective_loss(network: SLISTA, sensing: Sensing, codes: training.Codes) -> jax.Array:
    def objective(x, y):
        return uj.sparse.Lasso(sensing.A, y, network.weight).objective(x)

    return jnp.mean(jax.vmap(objective)(after_each_layer(network, sensing, codes.y)[-1], codes.y))


def _draw(sensing: Sensing, key: jax.Array) -> training.Codes:
    return ENSEMBLE.draw(sensing, key, 64)


def _ratio(ours: Callable, theirs: Callable) -> float:
    """The ratio of least seconds, taken in turns."""
    jax.block_until_ready((ours(), theirs()))
    pairs = [(_timed(ours), _timed(theirs)) for _ in range(REPEATS)]
    return min(ours for ours, _ in pairs) / min(theirs for _, theirs in pairs)


def _timed(work: Callable) -> float:
    start = time.perf_counter()
    jax.block_until_ready(work())
    return time.perf_counter() - start
