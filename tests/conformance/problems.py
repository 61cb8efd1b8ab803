"""Small problems of a parameter vector theta, each with the loss that is differentiated.

A problem is (name, make, start): `make(theta)` builds it, differentiably; `start` is x0. Every one
has the six parameters THETA, so that one harness serves them all.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import unrolljax as uj
from unrolljax.solvers.kkt import KKT

THETA = np.array([0.8, -0.5, 0.3, 1.1, -0.2, 0.6])

_random = np.random.default_rng(7)
A = _random.normal(size=(9, 6)) / 3
W = 0.55 * np.linalg.qr(_random.normal(size=(6, 6)))[0] @ np.diag(np.linspace(0.4, 1, 6))
D = np.diff(np.eye(6), axis=0)


class Case(NamedTuple):
    """A problem as a function of theta."""

    name: str
    make: Any
    start: Any


def quadratic_loss(theta, x):
    a = jnp.asarray(A, x.dtype)
    return (
        jnp.sum((a @ x - a @ jnp.sin(theta)) ** 2) / 2 + (0.5 + theta[0] ** 2) * jnp.sum(x**2) / 2
    )


def logistic_loss(theta, x):
    margins = jnp.asarray(A, x.dtype) @ x + jnp.sum(theta) / 4
    signs = jnp.asarray(np.where(np.arange(9) % 2, 1.0, -1.0), x.dtype)
    return jnp.sum(jnp.logaddexp(0, -signs * margins)) + (0.3 + theta[1] ** 2) * jnp.sum(x**2)


def quartic_loss(theta, x):
    return quadratic_loss(theta, x) + 0.1 * jnp.sum((x - theta[::-1]) ** 4)


def stacked_residuals(theta, x):
    return jnp.concatenate([jnp.asarray(A, x.dtype) @ x - jnp.cos(theta[0]), 0.7 * (x - theta)])


def curved_residuals(theta, x):
    a = jnp.asarray(A, x.dtype)
    return jnp.concatenate([jnp.tanh(a @ x) - 0.3 * theta[2], 0.8 * (x - theta)])


def exponential_residuals(theta, x):
    times = jnp.asarray(np.linspace(0, 1, 9), x.dtype)
    fit = x[0] * jnp.exp(-x[1] * times) + x[2] - (theta[3] * jnp.exp(-0.9 * times) + theta[2])
    return jnp.concatenate([fit, 0.4 * (x - theta)])


def l1_prox(theta, v, step):
    return uj.prox.l1(v, step * (0.1 + theta[2] ** 2))


def l1_penalty(theta, x):
    return (0.1 + theta[2] ** 2) * jnp.sum(jnp.abs(x))


def off_zero(_, x):
    return x != 0


def group_weight(theta):
    return 0.1 + theta[2] ** 2


def composites() -> list[Case]:
    """Functions are made once: a solve compares them by identity."""

    def clip(t, v, _):
        return uj.prox.project_box(v, -0.2 * t[3] ** 2, 0.3 * t[3] ** 2)

    def nothing(_, x):
        return 0 * jnp.sum(x)

    def group_prox(t, v, step):
        return uj.prox.group_lasso(v.reshape(3, 2), step * group_weight(t)).ravel()

    def group_penalty(t, x):
        return group_weight(t) * jnp.sum(uj.prox.group_norm(x.reshape(3, 2)))

    def on_groups(_, x):
        return jnp.repeat(jnp.any(x.reshape(3, 2) != 0, axis=-1), 2)

    functions = {
        "lasso": (quadratic_loss, l1_prox, l1_penalty, off_zero),
        "lasso by prox": (quadratic_loss, l1_prox, l1_penalty, None),
        "box": (quadratic_loss, clip, nothing, None),
        "group lasso": (logistic_loss, group_prox, group_penalty, on_groups),
    }
    return [
        Case(name, lambda t, f=f: uj.Composite(*f[:3], t, f[3]), np.zeros(6))
        for name, f in functions.items()
    ]


def argmin_with(k):
    def argmin(theta, target, penalty):
        a, k_ = jnp.asarray(A, theta.dtype), jnp.asarray(k, theta.dtype)
        rho = jnp.asarray(penalty, theta.dtype)
        matrix = a.T @ a + (0.5 + theta[0] ** 2) * jnp.eye(6, dtype=theta.dtype) + rho * k_.T @ k_
        return jnp.linalg.solve(matrix, a.T @ a @ jnp.sin(theta) + rho * k_.T @ target)

    return argmin


def saddles() -> list[Case]:
    def nonnegative(_, v, step):
        del step
        return uj.prox.project_nonnegative(v)

    def case(name, k, prox_g):
        functions = {
            "linear_function": lambda t, x: jnp.asarray(k, x.dtype) @ x,
            "prox_g_function": prox_g,
            "smooth_function": quadratic_loss,
            "argmin_function": argmin_with(k),
        }
        start = KKT(np.zeros(6), np.zeros(k.shape[0]))
        return Case(name, lambda theta: uj.Saddle(parameters=theta, **functions), start)

    return [
        case("lasso", np.eye(6), l1_prox),
        case("total variation", D, l1_prox),
        case("non-negative", np.eye(6), nonnegative),
    ]


def objectives() -> list[Case]:
    losses = {"quadratic": quadratic_loss, "logistic": logistic_loss, "quartic": quartic_loss}
    return [
        Case(name, lambda theta, f=f: uj.Objective(f, theta), np.zeros(6))
        for name, f in losses.items()
    ]


def least_squares() -> list[Case]:
    functions = {
        "linear": stacked_residuals,
        "curved": curved_residuals,
        "exponential": exponential_residuals,
    }
    return [
        Case(name, lambda theta, f=f: uj.Residuals(f, theta), np.full(6, 0.5))
        for name, f in functions.items()
    ]


def affine_map(theta, x):
    return jnp.asarray(W, x.dtype) @ x + jnp.sin(theta)


def tanh_map(theta, x):
    return jnp.tanh((1 + 0.3 * theta[0]) * (jnp.asarray(W, x.dtype) @ x) + theta)


def cosine_map(theta, x):
    return 0.5 * jnp.cos(jnp.roll(x, 1) + theta)


MAPS = {"affine": affine_map, "tanh": tanh_map, "cosine": cosine_map}


def roots() -> list[Case]:
    def case(name, f):
        def cubic(theta, x):
            return x - f(theta, x) + 0.05 * x**3

        return Case(name, lambda theta: uj.Residuals(cubic, theta), np.zeros(6))

    return [case(name, f) for name, f in MAPS.items()]


def maps() -> list[Case]:
    """The map is the solver's: the problem is theta itself."""
    return [Case(name, lambda theta: theta, np.zeros(6)) for name in MAPS]


def loss(solution) -> jax.Array:
    """A curved scalar of the solution's primal part."""
    x = solution.value.primal if isinstance(solution.value, KKT) else solution.value
    weights = jnp.asarray(np.cos(np.arange(6.0)), x.dtype)
    return jnp.sum(weights * jnp.sin(2 * x))
