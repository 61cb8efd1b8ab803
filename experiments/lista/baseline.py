"""What the network is compared with: ISTA and FISTA on the lasso."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

import unrolljax as uj
from experiments.lista.codes import Codes, Sensing, decibel


class Lasso(eqx.Module):
    """What ISTA and FISTA solve."""

    A: Array
    y: Array
    weight: Array

    def smooth(self, x: Array) -> Array:
        """Half the squared misfit."""
        return jnp.sum((self.A @ x - self.y) ** 2) / 2

    def prox(self, v: Array, step: Array) -> Array:
        """Soft thresholding."""
        return uj.prox.l1(v, step * self.weight)

    def penalty(self, x: Array) -> Array:
        """The weighted l1 norm."""
        return self.weight * uj.prox.l1_norm(x)


def lasso(sensing: Sensing, codes: Codes, steps: int, accelerated: bool) -> Array:
    """The codes after as many steps of ISTA or FISTA, with the best of eight weights."""
    step_size = 1 / jnp.linalg.norm(sensing.A, 2) ** 2
    solver = uj.solvers.ProximalGradient(step_size, accelerated)
    start, stop = jnp.zeros_like(codes.x[0]), uj.Stop(steps, tol=None)

    def one(weight: Array, y: Array) -> Array:
        problem = Lasso(sensing.A, y, weight)
        return uj.solve(solver, problem, start, gradient=uj.Detach(), stop=stop).value

    weights = jnp.geomspace(1e-3, 1, 8)
    found = jax.lax.map(lambda w: jax.vmap(lambda y: one(w, y))(codes.y), weights)
    return found[jnp.argmin(jax.vmap(decibel, (0, None))(found, codes.x))]
