"""Ridge regression with one weight per feature: an outer problem in closed form.

`x(theta)` minimises `|A x - b|^2 / 2 + sum exp(theta) x^2 / 2`; the outer objective is
`|V x - c|^2 / 2 + |theta|^2 / 20`.
"""

import jax.numpy as jnp
import numpy as np

import unrolljax as uj

FEATURES = 12
_random = np.random.default_rng(3)
A, B = _random.normal(size=(30, FEATURES)), _random.normal(size=30)
V, C = _random.normal(size=(16, FEATURES)), _random.normal(size=16)
THETA, START = np.linspace(-0.5, 0.5, FEATURES), np.zeros(FEATURES)
STEP_SIZE = 1 / np.linalg.norm(A.T @ A + np.exp(2) * np.eye(FEATURES), 2)


def inner(theta, x):
    residuals = jnp.asarray(A, x.dtype) @ x - jnp.asarray(B, x.dtype)
    return jnp.sum(residuals**2) / 2 + jnp.sum(jnp.exp(theta) * x**2) / 2


def problem(theta):
    return uj.Objective(inner, theta)


def outer(theta, x):
    residuals = jnp.asarray(V, x.dtype) @ x - jnp.asarray(C, x.dtype)
    return jnp.sum(residuals**2) / 2 + jnp.sum(theta**2) / 20


def exact(theta):
    """Outer value and hypergradient, in NumPy."""
    theta = np.asarray(theta, float)
    hessian = A.T @ A + np.diag(np.exp(theta))
    x = np.linalg.solve(hessian, A.T @ B)
    adjoint = np.linalg.solve(hessian, V.T @ (V @ x - C))
    value = np.sum((V @ x - C) ** 2) / 2 + np.sum(theta**2) / 20
    return value, theta / 10 - np.exp(theta) * x * adjoint
