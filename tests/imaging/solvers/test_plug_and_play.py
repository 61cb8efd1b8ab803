"""Every tied plug-and-play solver: its iterates, its gradients in every mode, memory, failures."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import unrolljax as uj
from unrolljax.imaging.restoration import Restoration
from unrolljax.imaging.solvers import PnPADMM, PnPProximalGradient, REDGradient, restore

NAMES = ["proximal gradient", "ADMM", "half-quadratic", "RED gradient", "RED fixed point"]
every_solver = pytest.mark.parametrize("name", [*NAMES, "accelerated", "primal-dual"])
WEIGHTS = jnp.asarray(np.random.default_rng(3).standard_normal((12, 10, 1)))


def loss(theta, mode, stop):
    solution = restore(*theta, gradient=mode, stop=stop)
    return jnp.sum(WEIGHTS * jnp.sin(2 * solution.value)), solution


@eqx.filter_jit
def gradient(theta, mode, stop):
    return eqx.filter_grad(loss, has_aux=True)(theta, mode, stop)


def error(found, exact, theta):
    """The largest relative error over the parameters: network, data, kernel, step size, sigma.

    A derivative that vanishes (RED's in its step size) is compared on the scale of the others, all
    of them taken with respect to the parameters' logarithms.
    """
    norms = [
        [float(jnp.linalg.norm(v)) for v in leaves]
        for leaves in zip(
            jax.tree.leaves(jax.tree.map(jnp.subtract, found, exact)),
            jax.tree.leaves(exact),
            jax.tree.leaves(theta),
            strict=True,
        )
    ]
    largest = max(slope * size for _, slope, size in norms)
    return max(
        gap * size / (slope * size if slope * size > 1e-6 * largest else largest)
        for gap, slope, size in norms
    )


class Threefold(eqx.Module):
    """A denoiser that makes everything three times as large."""

    factor: jnp.ndarray

    def __call__(self, x, sigma):
        return self.factor * x + 0 * sigma


class NumPy:
    """The same problem in NumPy, on flat images and a dense matrix."""

    def __init__(self, problem):
        self.shape = problem.data.operator.shape
        size = int(np.prod(self.shape))
        columns = [problem.data.operator(jnp.asarray(e.reshape(self.shape))) for e in np.eye(size)]
        self.A = np.stack([np.asarray(c).ravel() for c in columns], axis=1)
        self.y, self.noise = np.asarray(problem.data.y).ravel(), float(problem.data.sigma)
        self.network = problem.prior

    def slope(self, x):
        return self.A.T @ (self.A @ x - self.y) / self.noise**2

    def prox(self, v, step):
        matrix = self.A.T @ self.A / self.noise**2 + np.eye(v.size) / step
        return np.linalg.solve(matrix, self.A.T @ self.y / self.noise**2 + v / step)

    def denoise(self, x, sigma):
        image = x.reshape(self.shape[:2])
        filters = np.asarray(self.network.filters)
        spectra = np.fft.fft2(filters, self.shape[:2])
        spectra /= np.sqrt(np.max(np.sum(np.abs(spectra) ** 2, axis=0)))
        codes = np.fft.ifft2(spectra * np.fft.fft2(image)).real
        back = np.conj(spectra) * np.fft.fft2(sigma * np.tanh(codes / sigma))
        smooth = np.fft.ifft2(back).real.sum(axis=0)
        return (image - float(self.network.strength) * smooth).ravel()


def iterates(name, reference, solver, weight, steps):
    """The images of the textbook form of each method."""
    A, y, sigma = reference.A, reference.y, float(solver.sigma)
    x = A.T @ y
    u = np.zeros_like(x)
    for _ in range(steps):
        if name == "proximal gradient":
            x = reference.denoise(x - solver.step_size * reference.slope(x), sigma)
        elif name == "ADMM":
            z = reference.denoise(x + u, sigma)
            u = u + x - z
            x = reference.prox(z - u, solver.step_size)
        elif name == "half-quadratic":
            x = reference.denoise(reference.prox(x, solver.step_size), sigma)
        elif name == "primal-dual":
            size, before = float(solver.dual_size), x
            x = reference.denoise(x - solver.step_size * A.T @ u, sigma)
            ahead = A @ (2 * x - before) - y
            u = (u + size * ahead) / (1 + size * reference.noise**2)
        elif name == "RED gradient":
            pull = weight * (x - reference.denoise(x, sigma))
            x = x - solver.step_size * (reference.slope(x) + pull)
        else:
            x = reference.prox(reference.denoise(x, sigma), 1 / weight)
        yield reference.denoise(x + u, sigma) if name == "ADMM" else x


@pytest.mark.parametrize("name", [*NAMES, "primal-dual"])
def test_every_iterate_is_that_of_numpy(name, problem, solvers):
    solver = solvers[name]
    start = problem.data.operator.adjoint(problem.data.y)
    state = solver.init(problem, solver.unknown(problem, start))

    @eqx.filter_jit
    def step(state):
        after = solver.step(problem, state)
        return after, solver.image(problem, after.x)

    for expected in iterates(name, NumPy(problem), solver, 200.0, 50):
        state, image = step(state)
        np.testing.assert_allclose(image.ravel(), expected, atol=1e-12)
    found = restore(solver, problem, start, gradient=uj.Detach(), stop=uj.Stop(50, tol=None))
    np.testing.assert_allclose(found.value, image, atol=1e-12)


@pytest.mark.parametrize("name", [*NAMES, "primal-dual"])
def test_implicit_gradients_are_those_of_three_hundred_unrolled_steps(name, problem, solvers):
    theta = (solvers[name], problem)
    exact, _ = gradient(theta, uj.Unroll(), uj.Stop(300, tol=None))
    found, solution = gradient(theta, uj.Implicit(tol=1e-6), uj.Stop(1000, tol=1e-6))
    assert int(solution.status) == uj.Status.CONVERGED
    assert error(found, exact, theta) < 1e-4


def test_implicit_gradients_of_accelerated_steps_need_a_tighter_solve(problem, solvers):
    # The residual of a point with momentum says less of its error: 1.1e-4 at tolerance 1e-6.
    theta = (solvers["accelerated"], problem)
    exact, _ = gradient(theta, uj.Unroll(), uj.Stop(300, tol=None))
    found, solution = gradient(theta, uj.Implicit(tol=1e-8), uj.Stop(1000, tol=1e-8))
    assert int(solution.status) == uj.Status.CONVERGED
    assert error(found, exact, theta) < 1e-5


@every_solver
def test_other_modes_agree_with_implicit(name, problem, solvers):
    theta, stop = (solvers[name], problem), uj.Stop(1000, tol=1e-10)
    exact, _ = gradient(theta, uj.Implicit(tol=1e-10), stop)
    for mode, tol in (
        (uj.Implicit(ad="both", tol=1e-10), 1e-8),
        (uj.Truncated(tol=1e-6), 1e-5),
        (uj.Auto(tol=1e-5), 1e-4),
        (uj.Neumann(200), 1e-5),
    ):
        assert error(gradient(theta, mode, stop)[0], exact, theta) < tol, mode
    rough = error(gradient(theta, uj.OneStep(), stop)[0], exact, theta)
    assert 1e-3 < rough < 10


@every_solver
def test_implicit_gradients_are_those_of_differences(name, problem, solvers):
    theta, stop = (solvers[name], problem), uj.Stop(2000, tol=1e-13)
    found, _ = gradient(theta, uj.Implicit(tol=1e-11), stop)
    numbers, rest = eqx.partition(theta, eqx.is_inexact_array_like)
    rng = np.random.default_rng(5)
    way = jax.tree.map(lambda v: jnp.asarray(rng.standard_normal(jnp.shape(v))) * v, numbers)

    @eqx.filter_jit
    def beside(nudge):
        moved = jax.tree.map(lambda v, w: v + nudge * w, numbers, way)
        return loss(eqx.combine(moved, rest), uj.Detach(), stop)[0]

    slope = sum(jnp.vdot(g, w) for g, w in zip(*map(jax.tree.leaves, (found, way)), strict=True))
    differences = (beside(1e-5) - beside(-1e-5)) / 2e-5
    np.testing.assert_allclose(slope, differences, rtol=1e-6)


@every_solver
def test_memory_of_implicit_gradients_does_not_grow_with_iterations(name, problem, solvers):
    def temporary(steps, mode):
        compiled = gradient.lower((solvers[name], problem), mode, uj.Stop(steps, tol=1e-6))
        return compiled.compile().compiled.memory_analysis().temp_size_in_bytes

    assert temporary(100, uj.Implicit()) <= 1.1 * temporary(10, uj.Implicit())
    if name == "ADMM":
        assert temporary(100, uj.Unroll()) > 3 * temporary(10, uj.Unroll())


@every_solver
def test_other_numbers_compile_nothing(name, problem, solvers):
    solver, stop = solvers[name], uj.Stop(5, tol=1e-4)
    restore(solver, problem, stop=stop)
    other = jax.tree.map(lambda v: 1.01 * v, (solver, problem))
    seen = []

    def listen(event, duration, **_):
        seen.append((event, duration))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        restore(*other, stop=uj.Stop(5, tol=1e-5))
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert not [event for event, _ in seen if "backend_compile" in event]


@every_solver
def test_single_precision_and_batches(name, problem, solvers):
    def single(tree):
        return jax.tree.map(lambda v: jnp.asarray(v).astype(jnp.float32), tree)

    stop = uj.Stop(400, tol=1e-4)
    found = restore(single(solvers[name]), single(problem), stop=stop)
    assert found.value.dtype == jnp.float32
    assert int(found.status) == uj.Status.CONVERGED
    exact = restore(solvers[name], problem, stop=uj.Stop(400, tol=1e-6)).value
    np.testing.assert_allclose(found.value, exact, atol=2e-2)

    def of(y):
        again = eqx.tree_at(lambda p: p.data.y, problem, y)
        return restore(solvers[name], again, stop=uj.Stop(400, tol=1e-8))

    batch = jax.jit(jax.vmap(of))(jnp.stack([problem.data.y, 2 * problem.data.y]))
    np.testing.assert_allclose(batch.value[0], exact, atol=1e-4)
    np.testing.assert_allclose(batch.value[1], of(2 * problem.data.y).value, atol=1e-6)


@every_solver
def test_an_expanding_denoiser_ends_with_a_status(name, problem, solvers):
    expanding = Restoration(problem.data, Threefold(jnp.asarray(3.0)), problem.weight)
    found, solution = gradient((solvers[name], expanding), uj.Implicit(), uj.Stop(200, tol=1e-8))
    assert uj.Status(int(solution.status)) in (
        uj.Status.MAX_STEPS,
        uj.Status.DIVERGED,
        uj.Status.NONFINITE,
    )
    with pytest.raises(uj.SolveFailed):
        solution.raise_if_failed()
    assert all(np.all(np.isnan(leaf)) for leaf in jax.tree.leaves(found))


def test_a_step_that_is_too_long_ends_with_a_status(problem):
    solver = PnPProximalGradient(5 / float(problem.data.lipschitz()), 0.1)
    failed = restore(solver, problem, stop=uj.Stop(300, tol=1e-8))
    assert uj.Status(int(failed.status)).failed


def test_bad_numbers_are_named(problem):
    for numbers, name in (
        ((-1.0, 0.1), "step_size"),
        ((1.0, np.nan), "sigma"),
        ((1.0, 0.0), "sigma"),
    ):
        with pytest.raises(ValueError, match=name):
            PnPADMM(*numbers)
    with pytest.raises(ValueError, match="each layer"):
        REDGradient(np.ones(3), np.ones(4))
    with pytest.raises(ValueError, match="x0 has shape"):
        restore(PnPADMM(1.0, 0.1), problem, jnp.zeros((3, 3, 1)))
    with pytest.raises(ValueError, match="weight"):
        Restoration(problem.data, problem.prior, -1.0)
