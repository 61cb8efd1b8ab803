"""Smooth minimisation: quadratics of any condition, logistic regression, a relaxed lattice."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

import unrolljax as uj
from experiments.certificate.system import PARAMETERS, Distance, System
from unrolljax import solvers

_SGD = optax.sgd(0.3, momentum=0.7)


def _lbfgs(problem: Any) -> Any:
    import jaxopt

    return jaxopt.LBFGS(problem.objective)


def _quadratic_loss(parameters: tuple[Array, Array, Array], x: Array) -> Float[Array, ""]:
    H, b, scale = parameters
    return scale * (x @ H @ x) / 2 - b @ x


class Quadratic(eqx.Module):
    """`exp(theta_0) x^T H x / 2 - (B theta + c)^T x`, with the spectrum of H prescribed."""

    H: Float[Array, "n n"]
    B: Float[Array, "n p"]
    c: Float[Array, " n"]

    def __call__(self, theta: Float[Array, " p"]) -> uj.Objective:
        """The inner problem."""
        b = self.B @ theta + self.c
        return uj.Objective(_quadratic_loss, (self.H, b, jnp.exp(theta[0])))


def quadratic(condition: float, size: int = 100, seed: int = 0) -> System:
    """Eigenvalues from 1 / condition to 1, evenly on a logarithmic scale."""
    random = np.random.default_rng(seed)
    spectrum = np.logspace(-np.log10(condition), 0, size)
    Q = np.linalg.qr(random.normal(size=(size, size)))[0]
    B = random.normal(size=(size, PARAMETERS)) / np.sqrt(size)
    c = 0.1 * random.normal(size=size)
    theta = np.concatenate([[0.2], 0.3 * random.normal(size=PARAMETERS - 1)])
    scale, b = np.exp(theta[0]), B @ theta + c
    root = np.sqrt(condition)
    momentum = (root - 1) / (root + 1)
    constants = uj.Constants(
        strong_convexity=scale / condition,
        cross=np.hypot(np.linalg.norm(b), np.linalg.norm(B, 2)),
        jacobian=0.0,
        cross_lipschitz=scale,
        outer=1.0,
    )
    return System(
        f"quadratic, condition {condition:.0e}",
        Quadratic(jnp.asarray(Q * spectrum @ Q.T), jnp.asarray(B), jnp.asarray(c)),
        Distance(jnp.asarray(random.normal(size=size))),
        theta,
        np.zeros(size),
        {
            "gradient descent": uj.GradientDescent(1 / scale),
            "Polyak": uj.GradientDescent(1 / scale, momentum**2),
            "Nesterov": uj.GradientDescent(1 / scale, momentum, "nesterov"),
            "Barzilai-Borwein": solvers.BarzilaiBorwein(0.5),
            "L-BFGS": solvers.LBFGS(),
            "Newton": solvers.Newton("cg"),
            "FIRE": solvers.FIRE(0.3),
            "optax": solvers.Optax(_SGD),
            "jaxopt L-BFGS": solvers.Jaxopt(_lbfgs, uj.Structure(True, True)),
        },
        constants,
    )


class Logistic(eqx.Module):
    """Logistic regression, ridge weight `exp(theta_0)`, and a tilt `C theta` of the features."""

    A: Float[Array, "m n"]
    C: Float[Array, "n p"]

    def __call__(self, theta: Float[Array, " p"]) -> uj.Objective:
        """The inner problem; labels are in the signs of the rows of A."""
        return uj.Objective(_logistic_loss, (self.A, self.C @ theta, jnp.exp(theta[0])))


def _logistic_loss(parameters: tuple[Array, Array, Array], x: Array) -> Float[Array, ""]:
    A, tilt, ridge = parameters
    return jnp.mean(jnp.logaddexp(0.0, -(A @ x))) + ridge * (x @ x) / 2 - tilt @ x


def logistic(ridge: float, rows: int = 200, size: int = 80, seed: int = 1) -> System:
    """Features of decaying scale; the smaller the ridge, the worse the condition."""
    random = np.random.default_rng(seed)
    scales = np.logspace(0.5, -1, size)
    A = random.normal(size=(rows, size)) * scales * np.sign(random.normal(size=(rows, 1)) + 0.7)
    C = 0.02 * random.normal(size=(size, PARAMETERS))
    theta = np.concatenate([[np.log(ridge)], random.normal(size=PARAMETERS - 1)])
    tilt = C @ theta
    largest = float(np.linalg.norm(A, 2) ** 2 / rows / 4 + ridge)
    # |sigmoid''| is at most 1 / (6 sqrt 3); the solution is within |F(0)| / ridge of the origin.
    radius = np.linalg.norm(-A.mean(0) / 2 - tilt) / ridge
    constants = uj.Constants(
        strong_convexity=ridge,
        cross=np.hypot(ridge * radius, np.linalg.norm(C, 2)),
        jacobian=np.linalg.norm(A, axis=1).max() * np.linalg.norm(A, 2) ** 2 / rows / 6 / 3**0.5,
        cross_lipschitz=ridge,
        outer=1.0,
    )
    return System(
        f"logistic, ridge {ridge:.0e}",
        Logistic(jnp.asarray(A), jnp.asarray(C)),
        Distance(jnp.asarray(0.3 * random.normal(size=size))),
        theta,
        np.zeros(size),
        {
            "gradient descent": uj.GradientDescent(1 / largest),
            "Nesterov": uj.GradientDescent(1 / largest, 0.9, "nesterov"),
            "Barzilai-Borwein": solvers.BarzilaiBorwein(0.5 / largest),
            "L-BFGS": solvers.LBFGS(),
            "Newton": solvers.Newton(),
            "FIRE": solvers.FIRE(0.5 / largest**0.5),
        },
        constants,
    )


class Lattice(eqx.Module):
    """Atoms on a square lattice with Morse bonds, tethered to their sites, under a load.

    theta: logarithms of the bonds' depth and stiffness, their length, two loads, the tether.
    """

    load: Float[Array, "2 rows columns 2"]

    def __call__(self, theta: Float[Array, " p"]) -> uj.Objective:
        """The inner problem; the unknown is the displacement, (rows, columns, 2)."""
        load = jnp.tensordot(theta[3:5], self.load, 1)
        return uj.Objective(_lattice_energy, (theta, load))


def _lattice_energy(parameters: tuple[Array, Array], u: Array) -> Float[Array, ""]:
    theta, load = parameters
    rows, columns, _ = u.shape
    sites = jnp.stack(jnp.meshgrid(jnp.arange(rows), jnp.arange(columns), indexing="ij"), -1)
    x = sites.astype(u.dtype) + u
    bonds = [x[1:] - x[:-1], x[:, 1:] - x[:, :-1], x[1:, 1:] - x[:-1, :-1]]
    lengths = (theta[2], theta[2], theta[2] * 2**0.5)
    energy = -jnp.sum(load * u) + jnp.exp(theta[5]) * jnp.sum(u**2) / 2
    for bond, length in zip(bonds, lengths, strict=True):
        stretch = jnp.sqrt(jnp.sum(bond**2, -1)) - length
        well = jnp.exp(-2 * jnp.exp(theta[1]) * stretch) - 2 * jnp.exp(-jnp.exp(theta[1]) * stretch)
        energy += jnp.exp(theta[0]) * jnp.sum(well)
    return energy


def lattice(side: int = 7, seed: int = 2) -> System:
    """Side by side atoms, two unknowns each; the load bends the lattice by some percent."""
    random = np.random.default_rng(seed)
    load = 0.1 * random.normal(size=(2, side, side, 2))
    target = 0.05 * random.normal(size=(side, side, 2))
    return System(
        "relaxed lattice",
        Lattice(jnp.asarray(load)),
        Distance(jnp.asarray(target)),
        np.array([0.1, 0.2, 1.02, 0.7, -0.5, -2.0]),
        np.zeros((side, side, 2)),
        {
            "gradient descent": uj.GradientDescent(0.05),
            "Barzilai-Borwein": solvers.BarzilaiBorwein(0.03),
            "L-BFGS": solvers.LBFGS(),
            "Newton": solvers.Newton("cg"),
            "FIRE": solvers.FIRE(0.1),
        },
    )


def squares(rows: int = 120, size: int = 70, seed: int = 3) -> System:
    """Nonlinear least squares, `tanh(A x) - y(theta)` and a small ridge."""
    import optimistix

    random = np.random.default_rng(seed)
    A = random.normal(size=(rows, size)) / np.sqrt(size)
    C = random.normal(size=(rows, PARAMETERS)) / 10
    return System(
        "nonlinear squares",
        Squares(jnp.asarray(A), jnp.asarray(C)),
        Distance(jnp.asarray(random.normal(size=size))),
        random.normal(size=PARAMETERS),
        np.zeros(size),
        {
            "Gauss-Newton": solvers.GaussNewton(),
            "optimistix": solvers.Optimistix(optimistix.GaussNewton(1e-8, 1e-8)),
            "L-BFGS": solvers.LBFGS(),
        },
    )


class Squares(eqx.Module):
    """Residuals `tanh(A x) - C theta` and `0.3 x`."""

    A: Float[Array, "m n"]
    C: Float[Array, "m p"]

    def __call__(self, theta: Float[Array, " p"]) -> uj.Residuals:
        """The inner problem."""
        return uj.Residuals(_residuals, (self.A, jnp.tanh(self.C @ theta)))


def _residuals(parameters: tuple[Array, Array], x: Array) -> Array:
    A, y = parameters
    return jnp.concatenate([jnp.tanh(A @ x) - y, 0.3 * x])
