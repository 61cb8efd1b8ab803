"""Lasso and total variation: conditions with an active set, with a prox, and of saddle points."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import unrolljax as uj
from experiments.certificate.system import PARAMETERS, Distance, System
from unrolljax import solvers

Parameters = tuple[Array, Array, Array, Array]


class Fit(eqx.Module):
    """`|A x - C theta - y|^2 / 2` and an l1 penalty of weight `exp(theta_0)`."""

    A: Float[Array, "m n"]
    C: Float[Array, "m p"]
    y: Float[Array, " m"]
    on_support: bool = eqx.field(static=True)

    def parameters(self, theta: Float[Array, " p"]) -> Parameters:
        """Matrix, Gram matrix, right side and weight."""
        return self.A, self.A.T @ self.A, self.C @ theta + self.y, jnp.exp(theta[0])

    def __call__(self, theta: Float[Array, " p"]) -> uj.Composite:
        """The inner problem."""
        support = _off_zero if self.on_support else None
        return uj.Composite(_smooth, _prox, _penalty, self.parameters(theta), support)


class SplitFit(Fit):
    """The same for ADMM and primal-dual steps."""

    def __call__(self, theta: Float[Array, " p"]) -> uj.Saddle:
        """The inner problem."""
        return uj.Saddle(_same, _prox, self.parameters(theta), _smooth, argmin_function=_argmin)


def _smooth(parameters: Parameters, x: Array) -> Float[Array, ""]:
    A, _, y, _ = parameters
    return jnp.sum((A @ x - y) ** 2) / 2


def _prox(parameters: Parameters, v: Array, step: Array) -> Array:
    return uj.prox.l1(v, step * parameters[3])


def _penalty(parameters: Parameters, x: Array) -> Float[Array, ""]:
    return parameters[3] * uj.prox.l1_norm(x)


def _off_zero(_: Parameters, x: Array) -> Array:
    return x != 0


def _same(_: Parameters, x: Array) -> Array:
    return x


def _argmin(parameters: Parameters, target: Array, penalty: Array) -> Array:
    A, gram, y, _ = parameters
    rho = jnp.asarray(penalty, target.dtype)
    matrix = gram + rho * jnp.eye(target.size, dtype=target.dtype)
    return jnp.linalg.solve(matrix, A.T @ y + rho * target)


def lasso(kind: str, rows: int = 60, size: int = 120, seed: int = 4) -> System:
    """`kind`: "support", "prox" or "saddle", the condition that is differentiated."""
    random = np.random.default_rng(seed)
    A = random.normal(size=(rows, size)) / np.sqrt(rows)
    truth = np.where(random.random(size) < 0.1, random.normal(size=size), 0)
    y = A @ truth + 0.01 * random.normal(size=rows)
    C = 0.1 * random.normal(size=(rows, PARAMETERS))
    theta = np.concatenate([[np.log(0.05)], random.normal(size=PARAMETERS - 1)])
    arrays = (jnp.asarray(A), jnp.asarray(C), jnp.asarray(y))
    largest = float(np.linalg.norm(A, 2) ** 2)
    proximal = {
        "ISTA": solvers.ProximalGradient(1 / largest),
        "FISTA": solvers.ProximalGradient(1 / largest, accelerated=True),
    }
    splitting = {
        "ADMM": solvers.ADMM(1.0),
        "primal-dual": solvers.PrimalDual(0.9 / (largest / 2 + 1), 1.0),
    }
    saddle = kind == "saddle"
    zero = np.zeros(size)
    return System(
        f"lasso, {kind}",
        SplitFit(*arrays, False) if saddle else Fit(*arrays, kind == "support"),
        Distance(jnp.asarray(truth)),
        theta,
        solvers.KKT(zero, zero) if saddle else zero,
        splitting if saddle else proximal,
    )
