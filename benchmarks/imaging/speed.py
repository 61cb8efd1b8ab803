"""Seconds of restorations and of training steps, against scico's and deepinv's in one run.

256 x 256 pixels, float32, both cores. scico: TV deblurring by ADMM, the linear subproblem by FFT.
deepinv: plug-and-play ADMM with the same network and numbers, and training steps through it.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray

import unrolljax as uj
from benchmarks import peer_environment
from benchmarks.parts import Row
from unrolljax.imaging import psf
from unrolljax.imaging.data_terms import Gaussian
from unrolljax.imaging.denoisers import FFDNet, Learned, initialised
from unrolljax.imaging.operators import Blur
from unrolljax.imaging.priors import TotalVariation
from unrolljax.imaging.restoration import Restoration
from unrolljax.imaging.solvers import PnPADMM, restore

PART, SIZE, WIDTH, REPEATS = "speed", 256, 1.6, 5
WEIGHTS, PENALTY, LONG = (1e-3, 2e-3, 3e-3), 0.1, 1000
SIGMA, STEP, BATCH, PATCH, DEPTHS = 0.03, 1.0, 4, 64, (10, 30)
TRUNCATED = f"a training step, {DEPTHS[1]} iterations, the last {DEPTHS[0]} differentiated"
PEERS = Path(__file__).parent / "_peers"


class Setting(NamedTuple):
    """What both sides restore: the point spread function, and one large measurement."""

    kernel: NDArray
    y: NDArray
    iterations: int


def run(quick: bool) -> list[Row]:
    """Total variation, plug-and-play, a batch, training; ours first, then against the peer."""
    random = np.random.default_rng(0)
    kernel = np.asarray(psf.gaussian(25, WIDTH), np.float32)
    setting = Setting(kernel, random.random((SIZE, SIZE), np.float32), 20 if quick else 100)
    network = initialised(FFDNet(), jax.random.key(0), dtype=jnp.dtype(jnp.float32))
    # Kernels are halved so that the iterations stay bounded.
    network = jax.tree.map(lambda kernel: kernel / 2, network)
    return _tv(setting) + _plug_and_play(setting, network, random)


def _tv(setting: Setting) -> list[Row]:
    """Seconds an iteration, and of a new instance from its arrays on, in a compiled program."""
    solver = uj.solvers.ADMM(jnp.float32(PENALTY))

    @eqx.filter_jit
    def solve(problem: Restoration, iterations: int) -> uj.Solution:
        stop = uj.Stop(iterations, tol=None)
        start = problem.data.y
        return restore(solver, problem, start, gradient=uj.Detach(), stop=stop)

    def problem(weight: float) -> Restoration:
        return Restoration(_data(setting.kernel, setting.y), TotalVariation(), jnp.float32(weight))

    iteration = _shortest(lambda: solve(problem(WEIGHTS[0]), LONG).value) / LONG
    given = problem(WEIGHTS[0])
    instance, weight = (
        _shortest(lambda make=make: solve(make(), setting.iterations).value)
        for make in (
            lambda: problem(WEIGHTS[1]),
            lambda: Restoration(given.data, given.prior, jnp.float32(WEIGHTS[1])),
        )
    )
    last = problem(WEIGHTS[-1])
    objective = last.objective(solve(last, setting.iterations).value)
    rows = [
        Row(PART, "TV-ADMM, an iteration", f"{1e3 * iteration:.3f} ms"),
        Row(PART, f"TV-ADMM, a new instance, {setting.iterations} iterations", f"{instance:.4f} s"),
        Row(PART, "TV-ADMM, only the weight is new", f"{weight:.4f} s"),
    ]
    sent = {"kernel": setting.kernel, "weights": WEIGHTS, "penalty": PENALTY}
    try:
        peer = _peer("scico", ["scico"], "scico_tv.py", y=setting.y, iterations=100, **sent)
    except peer_environment.Absent as absent:
        return [*rows, Row(PART, "TV-ADMM, scico", f"skipped: {absent}")]
    difference = abs(peer["objective"] / float(objective or np.nan) - 1)
    return [
        *rows,
        Row(PART, "TV-ADMM, objective, scico's off ours", f"{difference:.1e}"),
        _times("TV-ADMM, an iteration, scico", peer["iteration"], iteration, 4),
        _times("TV-ADMM, a new instance, scico", min(peer["instances"][1:]), instance, 10),
        _times("TV-ADMM, only the weight is new, scico", min(peer["weights"]), weight, None),
    ]


def _plug_and_play(setting: Setting, network: Learned, random: np.random.Generator) -> list[Row]:
    """Inference, a batch of eight, and training; then deepinv's inference and training."""
    solver = PnPADMM(jnp.float32(STEP), jnp.float32(SIGMA))

    @eqx.filter_jit
    def infer(network: Learned, y: jax.Array) -> jax.Array:
        def one(y: jax.Array) -> jax.Array:
            data = _data(setting.kernel, y)
            start = data.operator.adjoint(data.y)
            stop = uj.Stop(setting.iterations, tol=None)
            problem = Restoration(data, network)
            return restore(solver, problem, start, gradient=uj.Detach(), stop=stop).value

        return one(y) if y.ndim == 2 else jax.vmap(one)(y)

    def iteration(size: int, copies: tuple[int, ...] = ()) -> float:
        y = np.broadcast_to(setting.y[:size, :size], (*copies, size, size))
        return _shortest(lambda: infer(network, jnp.asarray(y))) / setting.iterations

    found = infer(network, jnp.asarray(setting.y))
    seconds = iteration(SIZE)
    batches = {n: iteration(n, (8,)) / iteration(n) for n in (SIZE, SIZE // 2)}
    truth = random.random((BATCH, PATCH, PATCH), np.float32)
    steps = [_training(setting, network, truth, depth, uj.Unroll()) for depth in DEPTHS]
    short = _training(setting, network, truth, DEPTHS[1], uj.Truncated(depth=DEPTHS[0]))
    rows = [
        Row(PART, "PnP-ADMM, an iteration", f"{1e3 * seconds:.2f} ms"),
        *[
            _at_most(f"PnP-ADMM, vmapped batch of 8 over one, {size} x {size}", ratio, 8)
            for size, ratio in batches.items()
        ],
        *[
            Row(PART, f"a training step, {depth} unrolled", f"{1e3 * t:.0f} ms")
            for depth, t in zip(DEPTHS, steps, strict=True)
        ],
        Row(PART, TRUNCATED, f"{1e3 * short:.0f} ms"),
    ]
    given = {"psf": setting.kernel, "sigma": SIGMA, "step": STEP, "depths": DEPTHS}
    given |= {f"kernel_{k}": kernel for k, kernel in enumerate(_kernels(network))}
    given |= {"batch": truth, "truth": truth, "iterations": setting.iterations}
    try:
        peer = _peer("deepinv", ["deepinv"], "deepinv_pnp.py", y=setting.y, **given)
    except peer_environment.Absent as absent:
        return [*rows, Row(PART, "PnP-ADMM, deepinv", f"skipped: {absent}")]
    difference = np.abs(np.asarray(peer["row"]) - np.asarray(found)[0, :, 0]).max()
    return [
        *rows,
        Row(PART, "PnP-ADMM, deepinv's image off ours", f"{difference:.1e}"),
        _times("PnP-ADMM, an iteration, deepinv", peer["iteration"], seconds, 1.5),
        *[
            _times(f"a training step, {depth} unrolled, deepinv", theirs, ours, 1)
            for depth, theirs, ours in zip(DEPTHS, peer["training"], steps, strict=True)
        ],
        _times(f"{TRUNCATED}: deepinv, all unrolled", peer["training"][1], short, 1),
    ]


def _training(
    setting: Setting, network: Learned, truth: NDArray, depth: int, mode: uj.GradientMode
) -> float:
    """Seconds of a step of Adam on a batch, through that many iterations."""
    solver = PnPADMM(jnp.float32(STEP), jnp.float32(SIGMA))
    optimizer = optax.adam(1e-4)

    def loss(network: Learned, truth: jax.Array) -> jax.Array:
        def one(y: jax.Array) -> jax.Array:
            data = _data(setting.kernel, y)
            start, stop = data.operator.adjoint(data.y), uj.Stop(depth - 1, tol=None)
            problem = Restoration(data, network)
            return restore(solver, problem, start, gradient=mode, stop=stop).value[..., 0]

        return jnp.mean((jax.vmap(one)(truth) - truth) ** 2)

    @eqx.filter_jit
    def step(network: Learned, state: Any, truth: jax.Array):
        slope = eqx.filter_grad(loss)(network, truth)
        updates, state = optimizer.update(slope, state)
        return eqx.apply_updates(network, updates), state

    state = optimizer.init(eqx.filter(network, eqx.is_inexact_array))  # pyright: ignore
    return _shortest(lambda: step(network, state, jnp.asarray(truth)))


def _data(kernel: NDArray, y: Any) -> Gaussian:
    return Gaussian(Blur(kernel, (*y.shape, 1)), jnp.asarray(y)[..., None], jnp.float32(1))


def _kernels(network: Learned) -> list[NDArray]:
    """In the order of the layers."""
    layers = network.parameters["params"]
    names = sorted(layers, key=lambda name: int(name.rpartition("_")[2]))
    return [np.asarray(layers[name]["kernel"]) for name in names]


def _peer(name: str, requirements: list[str], script: str, **given: Any) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "given.npz"
        np.savez(path, **given)
        return peer_environment.run(name, requirements, PEERS / script, str(path))


def _shortest(call: Callable[[], Any]) -> float:
    """Seconds of the shortest of several calls, after one that compiles."""
    jax.block_until_ready(call())
    times = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - begun)
    return min(times)


def _times(name: str, theirs: float, ours: float, least: float | None) -> Row:
    ratio = theirs / ours
    told = f"{theirs:.4f} s, {ratio:.2f}x ours"
    return Row(PART, name, told, f">= {least}x" if least else "", ratio >= least if least else None)


def _at_most(name: str, ratio: float, most: float) -> Row:
    return Row(PART, name, f"{ratio:.2f}x", f"<= {most}x", ratio <= most)
